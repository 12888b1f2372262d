#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills the daemon of a mounted vault at random moments and checks what the next mount shows.

Two writer processes do five kinds of work, each in a folder of its own, and note every step in a file outside the
mount: `w` before a change is made, `a` once the system has acknowledged it as durable. After each kill the vault is
mounted again and held against these notes:

log     a file is appended to, with an fsync now and then     it is a prefix of what was written, and holds all acked;
                                                              only a page border may cut a record
save    a temporary file is renamed over a document           the document is one whole version, never before an acked
        (with and without fsync)                              one, never empty or mixed
pages   4 KiB pages of one file are overwritten               each page is one whole write, never before an acked one
files   files are created in order, the oldest deleted        the names present are an unbroken run: no later change
                                                              without the earlier ones; acked ones are there
moves   a file is moved between two folders                   it is in exactly one of them

The writer goes on from what the mount shows, so damage in one round would show in a later one too.
"""
import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time

PAGE = 4096
PAGES = 256
KINDS = ("log", "save", "pages", "files", "moves")


def record(number):
    """One line of a log: its number, and filler whose length and letters depend on it."""
    return b"%08d %s\n" % (number, bytes([97 + number % 26]) * (20 + number * 7919 % 400))


def document(version):
    body = b"version %d\n" % version
    return body + bytes([65 + version % 26]) * (version * 104729 % 150_000) + body


def page(version):
    return (b"%15d\n" % version) * (PAGE // 16)


class Notes:
    """Append-only notes of a writer; in a file, so that they outlive the writer and never block it."""

    def __init__(self, path):
        self.file = open(path, "ab", buffering=0)

    def note(self, letter, key, value):
        self.file.write(f"{letter} {key} {value}\n".encode())


def sync_folder(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Writer:
    """One writer process: does random work until the mount fails under it."""

    def __init__(self, top, notes, dice, state):
        self.top, self.notes, self.dice, self.state = top, notes, dice, state

    def run(self):
        while True:
            getattr(self, self.dice.choice(KINDS))()

    def log(self):
        fd = os.open(self.top + "/log/log", os.O_WRONLY | os.O_APPEND)
        try:
            for _ in range(self.dice.randint(1, 20)):
                number = self.state["log"]
                self.notes.note("w", "log", number + 1)
                os.write(fd, record(number))
                self.state["log"] = number + 1
            if self.dice.random() < 0.6:
                (os.fsync if self.dice.random() < 0.5 else os.fdatasync)(fd)
                self.notes.note("a", "log", self.state["log"])
        finally:
            os.close(fd)

    def save(self):
        name = f"doc{self.dice.randrange(4)}"
        version = self.state[name] + 1
        path = f"{self.top}/save/{name}"
        durable = self.dice.random() < 0.6
        self.notes.note("w", name, version)
        with open(path + ".tmp", "wb") as f:
            f.write(document(version))
            f.flush()
            if durable:
                os.fsync(f.fileno())
        os.rename(path + ".tmp", path)
        if durable:
            sync_folder(self.top + "/save")
            self.notes.note("a", name, version)
        self.state[name] = version

    def pages(self):
        fd = os.open(self.top + "/pages/pages", os.O_WRONLY)
        try:
            touched = []
            for _ in range(self.dice.randint(1, 12)):
                index = self.dice.randrange(PAGES)
                version = self.state["page"] + 1
                self.notes.note("w", f"page{index}", version)
                os.pwrite(fd, page(version), index * PAGE)
                self.state["page"] = version
                touched.append((index, version))
            if self.dice.random() < 0.7:
                os.fsync(fd)
                for index, version in touched:
                    self.notes.note("a", f"page{index}", version)
        finally:
            os.close(fd)

    def files(self):
        folder = self.top + "/files"
        for _ in range(self.dice.randint(1, 10)):
            number = self.state["files"] + 1
            self.notes.note("w", "files", number)
            with open(f"{folder}/{number:08}", "wb"):
                pass
            self.state["files"] = number
        while self.state["files"] - self.state["gone"] > 60:
            number = self.state["gone"] + 1
            self.notes.note("w", "gone", number)
            os.unlink(f"{folder}/{number:08}")
            self.state["gone"] = number
        if self.dice.random() < 0.3:
            sync_folder(folder)
            self.notes.note("a", "files", self.state["files"])
            self.notes.note("a", "gone", self.state["gone"])

    def moves(self):
        left, right = self.top + "/moves/left/it", self.top + "/moves/right/it"
        if os.path.exists(left):
            os.rename(left, right)
        else:
            os.rename(right, left)


class Checker:
    """Holds what the mount shows against the notes; returns the state to go on from."""

    def __init__(self, top, notes):
        self.top = top
        self.written, self.acked, self.attempts = {}, {}, {}
        with open(notes, encoding="ascii") as f:
            for line in f:
                letter, key, value = line.split()
                book = self.written if letter == "w" else self.acked
                book[key] = int(value)
                if letter == "w":
                    self.attempts.setdefault(key, set()).add(int(value))

    def within(self, key, found):
        low, high = self.acked.get(key, 0), max(self.written.get(key, 0), self.acked.get(key, 0))
        assert low <= found <= high, f"{key}: found {found}, acknowledged {low}, written {high}"
        return found

    def check(self):
        state = {"page": max([v for k, v in self.written.items() if k.startswith("page")], default=0)}
        state["log"] = self.log()
        for i in range(4):
            state[f"doc{i}"] = self.save(f"doc{i}")
        self.pages()
        state["gone"], state["files"] = self.files()
        where = [side for side in ("left", "right") if os.path.exists(f"{self.top}/moves/{side}/it")]
        assert len(where) == 1, f"the moved file is in {where}"
        with open(f"{self.top}/moves/{where[0]}/it", "rb") as f:
            assert f.read() == b"moved", "content of the moved file"
        return state

    def log(self):
        with open(self.top + "/log/log", "rb") as f:
            data = f.read()
        number = at = 0
        while at < len(data):
            wanted = record(number)
            tail = data[at:at + len(wanted)]
            if len(tail) < len(wanted) and wanted.startswith(tail) and len(data) % PAGE == 0:
                # The kernel sends a write that crosses into another page as two (since Linux 5.12), so the
                # daemon may die between them. Anywhere else a record is whole or not there.
                self.cut("/log/log", at)
                break
            assert tail == wanted, f"log: record {number} at {at} of {len(data)} is not whole"
            at += len(wanted)
            number += 1
        return self.within("log", number)

    def cut(self, path, size):
        fd = os.open(self.top + path, os.O_WRONLY)
        os.ftruncate(fd, size)
        os.fsync(fd)
        os.close(fd)

    def save(self, name):
        with open(f"{self.top}/save/{name}", "rb") as f:
            data = f.read()
        version = int(data.split(b"\n")[0].split()[1])
        assert data == document(version), f"{name}: version {version} is not whole ({len(data)} bytes)"
        return self.within(name, version)

    def pages(self):
        with open(self.top + "/pages/pages", "rb") as f:
            data = f.read()
        assert len(data) == PAGE * PAGES, f"pages: size {len(data)}"
        for index in range(PAGES):
            part = data[index * PAGE:(index + 1) * PAGE]
            version = int(part[:16])
            assert part == page(version), f"page {index} is mixed: {set(part[i:i + 16] for i in range(0, PAGE, 16))}"
            key = f"page{index}"
            assert version == 0 or version in self.attempts.get(key, ()), f"{key}: version {version} was never written"
            assert version >= self.acked.get(key, 0), f"{key}: found {version}, acknowledged {self.acked.get(key)}"

    def files(self):
        numbers = sorted(int(name) for name in os.listdir(self.top + "/files"))
        assert numbers, "files: all gone"
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), f"files: not an unbroken run: {numbers}"
        return self.within("gone", numbers[0] - 1), self.within("files", numbers[-1])


def populate(top):
    for folder in ("log", "save", "pages", "files", "moves/left", "moves/right"):
        os.makedirs(f"{top}/{folder}")
    for path, data in (("log/log", b""), ("pages/pages", page(0) * PAGES), ("files/00000001", b""),
                       ("moves/left/it", b"moved")):
        with open(f"{top}/{path}", "wb") as f:
            f.write(data)
    for i in range(4):
        with open(f"{top}/save/doc{i}", "wb") as f:
            f.write(document(0))


class Vault:
    def __init__(self, args):
        self.args = args

    def tain(self, *words):
        done = subprocess.run([self.args.tain, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              check=False)
        assert done.returncode == 0, f"tain {words[0]}: exit {done.returncode}: {done.stderr.strip()}"
        return done.stdout

    def pid(self):
        with open(self.args.vault + "/lock", encoding="utf-8") as f:
            return int(f.read().split()[0])

    def mount(self):
        """Seconds that mounting took, and seconds of a processor: those do not depend on what else the machine does."""
        start = time.monotonic()
        self.tain("mount", "--passfile", self.args.passfile, self.args.vault, self.args.mount)
        passed = time.monotonic() - start
        with open(f"/proc/{self.pid()}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        return passed, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def unmount(self):
        self.tain("unmount", self.args.mount)

    def kill(self):
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        # Its threads, and with them its locks, go a little later than the signal comes.
        while not gone(pid):
            time.sleep(0.001)


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            state = f.read().rpartition(")")[2].split()[0]
        return state == "Z" and len(os.listdir(f"/proc/{pid}/task")) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def start_writer(top, notes, seed, state):
    pid = os.fork()
    if pid:
        return pid
    try:
        Writer(top, Notes(notes), random.Random(seed), state).run()
    except OSError as error:
        os._exit(0 if error.errno in (103, 107, 5, 2) else 1)  # aborted, not connected, I/O error, unmounted
    except BaseException as error:  # pylint: disable=broad-except
        print(f"writer: {error!r}", file=sys.stderr)
    os._exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("tain", "vault", "mount", "passfile", "oracle"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    dice = random.Random(args.seed)
    vault = Vault(args)

    vault.mount()
    tops = [f"{args.mount}/writer{i}" for i in range(2)]
    notes = [f"{args.oracle}.{i}" for i in range(2)]
    start = {"log": 0, "page": 0, "files": 1, "gone": 0, **{f"doc{i}": 0 for i in range(4)}}
    for top, note in zip(tops, notes):
        populate(top)
        with open(note, "w", encoding="ascii") as f:
            f.write("a files 1\n")
    states = [dict(start) for _ in tops]
    vault.unmount()
    orderly = [vault.mount()] + [(vault.unmount(), vault.mount())[1] for _ in range(2)]
    clean, clean_work = (min(values) for values in zip(*orderly))

    times, work = [], []
    for number in range(args.rounds):
        writers = [start_writer(top, note, dice.random(), state) for top, note, state in zip(tops, notes, states)]
        time.sleep(dice.choice((0.02, 0.1, 0.4, 1.5)) * dice.uniform(0.5, 1.5))
        for pid in writers:
            assert os.waitpid(pid, os.WNOHANG) == (0, 0), f"round {number}: a writer failed before the kill"
        vault.kill()
        for pid in writers:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert code == 0, f"round {number}: a writer met something else than a dead mount ({code})"
        passed, worked = vault.mount()
        times.append(passed)
        work.append(worked)
        try:
            states = [Checker(top, note).check() for top, note in zip(tops, notes)]
        except (AssertionError, OSError, ValueError, IndexError) as error:
            sys.exit(f"round {number} of seed {args.seed}: {error}")
        # What was found is the truth from here on: a change that did not survive was never made.
        for note, state in zip(notes, states):
            with open(note, encoding="ascii") as f:
                pages = [line for line in f if " page" in line]
            with open(note, "w", encoding="ascii") as f:
                f.writelines(pages)
                for key, value in state.items():
                    if key != "page":
                        f.write(f"w {key} {value}\na {key} {value}\n")
    vault.unmount()
    vault.mount()
    for top, note in zip(tops, notes):
        Checker(top, note).check()
    steps = json.dumps({key: sum(state[key] for state in states) for key in states[0]})
    vault.unmount()
    print(f"  ok: {args.rounds} kills, seed {args.seed}; writers' steps {steps}")
    print(f"  ok: mount after a kill: median {statistics.median(times):.2f} s, longest {max(times):.2f} s; "
          f"after an orderly unmount {clean:.2f} s; of a processor median {statistics.median(work):.2f} s, "
          f"most {max(work):.2f} s, after an orderly unmount {clean_work:.2f} s")
    assert max(work) < clean_work + 1, "a recovery was a second's work or more"
    if args.rounds >= 100:  # long runs have the machine for themselves
        assert statistics.median(times) < clean + 1, "recovery takes a second or more"


if __name__ == "__main__":
    main()
