#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does random work in a mount and in a mirror of plain files, and holds .tain/at/TIME against what the mirror was then.

At some moments the work stops for a second: what has stood for so long is kept. Then the mount must be as the mirror, and
what is seen there is noted. Between two moments the process may be killed in the middle of its work, or the vault is
unmounted and mounted. After that some moments are looked at, and at the end all of them. What of the present was lost
with a kill is for kill9.py to judge: the mirror begins anew with what is there.
"""
import argparse
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

ENTRIES = 400  # of the tree, about
# When the process is gone, and when the mountpoint is bare.
LOST = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS)


def look(root):
    """Every entry below `root`, and the root itself: what cp -a keeps of it, but for the times of folders."""
    out = {}

    def note(path, name):
        info = os.lstat(path)
        kind = stat.S_IFMT(info.st_mode)
        entry = {"mode": oct(info.st_mode), "owner": f"{info.st_uid}:{info.st_gid}"}
        if kind == stat.S_IFLNK:
            entry["target"] = os.readlink(path)
        else:
            entry["xattrs"] = {key: os.getxattr(path, key).hex() for key in sorted(os.listxattr(path))
                               if key.startswith("user.")}
        if kind == stat.S_IFREG:
            with open(path, "rb") as f:
                data = f.read()
            assert len(data) == info.st_size, f"{path}: {len(data)} bytes of {info.st_size}"
            entry["content"] = f"{len(data)} {hashlib.sha256(data).hexdigest()}"
        if kind != stat.S_IFDIR:
            entry["mtime"] = info.st_mtime_ns
        out[name] = entry
        if kind == stat.S_IFDIR:
            for child in os.listdir(path):
                note(os.path.join(path, child), os.path.join(name, child))

    note(root, ".")
    return out


def difference(expected, found):
    lines = []
    for name in sorted(expected.keys() | found.keys()):
        old, new = expected.get(name), found.get(name)
        if old is None or new is None:
            lines.append(f"  {name}: {'was not there' if old is None else 'is gone'}")
        elif old != new:
            lines.append(f"  {name}: " + "; ".join(f"{key} {old[key]} is {new.get(key)}" for key in old if old[key] != new.get(key)))
    return "\n".join(lines[:20])


def without_times(picture):
    return {name: {key: value for key, value in entry.items() if key != "mtime"} for name, entry in picture.items()}


class Work:
    """Random operations, each done below the mount and then below the mirror."""

    def __init__(self, mount, mirror, dice):
        self.mount, self.mirror, self.dice = mount, mirror, dice
        self.made = 0
        self.read_tree()

    def read_tree(self):
        self.folders, self.files, self.links = [""], [], []
        for folder, folders, names in os.walk(self.mirror):
            below = os.path.relpath(folder, self.mirror)
            folders.sort()
            for name in folders + sorted(names):
                path = os.path.normpath(os.path.join(below, name))
                kind = self.folders if name in folders else self.files
                if os.path.islink(os.path.join(self.mirror, path)):
                    kind = self.links
                kind.append(path)

    def both(self, change):
        change(lambda path: os.path.join(self.mount, path))
        change(lambda path: os.path.join(self.mirror, path))

    def data(self):
        """Never empty: what is as empty as before has another time only, and times alone are no state (ADR 13)."""
        size = self.dice.choice((1, 10, 500, 3000, 9000, 70_000 if self.dice.random() < 0.2 else 100))
        return self.dice.randbytes(self.dice.randrange(size) + 1)

    def new_path(self):
        # Names come again, so that what was removed is made anew under its name.
        return os.path.join(self.dice.choice(self.folders), f"{self.dice.choice('abcdefgh')}{self.dice.randrange(40)}.md")

    def free(self, path):
        return path not in self.files and path not in self.folders and path not in self.links

    @staticmethod
    def put(path, data, flags=os.O_TRUNC):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view):]
        finally:
            os.close(fd)

    def step(self):
        full = len(self.files) + len(self.folders) + len(self.links) > ENTRIES
        names = ["overwrite"] * 4 + ["save"] * 4 + ["pwrite", "append", "truncate", "chmod", "xattr", "copy_in", "rename", "rename"]
        names += ["remove"] * (9 if full else 3) + ["rmtree"] * full + ["create"] * 4 + ["mkdir", "symlink", "link", "move_folder"]
        getattr(self, self.dice.choice(names))()

    def create(self):
        path, data = self.new_path(), self.data()
        if self.free(path):
            self.both(lambda at: self.put(at(path), data))
            self.files.append(path)

    def overwrite(self):
        if self.files:
            path, data = self.dice.choice(self.files), self.data()
            self.both(lambda at: self.put(at(path), data))

    def save(self):
        """As editors do."""
        if not self.files:
            return
        path, data, how = self.dice.choice(self.files), self.data(), self.dice.randrange(4)
        folder, name = os.path.split(path)
        temporary = os.path.join(folder, f".goutputstream-{self.made}" if how == 0 else f"new-{self.made}")
        backup = path + "~"
        self.made += 1

        def change(at):
            if how in (0, 1):
                self.put(at(temporary), data)
                os.rename(at(temporary), at(path))
            else:
                os.rename(at(path), at(backup))
                self.put(at(path), data)
                if how == 2:
                    shutil.copystat(at(backup), at(path))
                os.unlink(at(backup))

        if len(name) < 200 and not os.path.lexists(os.path.join(self.mirror, backup)):
            self.both(change)

    def pwrite(self):
        if self.files:
            path, data, offset = self.dice.choice(self.files), self.data(), self.dice.randrange(50_000)

            def change(at):
                fd = os.open(at(path), os.O_WRONLY)
                os.pwrite(fd, data, offset)
                os.close(fd)

            self.both(change)

    def append(self):
        if self.files:
            path, data = self.dice.choice(self.files), self.data()
            self.both(lambda at: self.put(at(path), data, os.O_APPEND))

    def truncate(self):
        if self.files:
            path, size = self.dice.choice(self.files), self.dice.randrange(20_000)
            if os.path.getsize(os.path.join(self.mirror, path)) != size:
                self.both(lambda at: os.truncate(at(path), size))

    def chmod(self):
        if self.files and self.dice.random() < 0.8:
            path, mode = self.dice.choice(self.files), self.dice.choice((0o600, 0o640, 0o644, 0o755))
        else:
            path, mode = self.dice.choice(self.folders), self.dice.choice((0o700, 0o750, 0o755))
        self.both(lambda at: os.chmod(at(path), mode))

    def xattr(self):
        path = self.dice.choice(self.files + self.folders)
        name, value = f"user.x{self.dice.randrange(3)}", self.dice.randbytes(self.dice.randrange(30))

        def change(at):
            if value[:1] > b"\x40" or name not in os.listxattr(at(path)):
                os.setxattr(at(path), name, value)
            else:
                os.removexattr(at(path), name)

        self.both(change)

    def copy_in(self):
        """With a time of its own."""
        if self.files:
            path, data, when = self.dice.choice(self.files), self.data(), self.dice.randrange(10**18, 2 * 10**18)

            def change(at):
                self.put(at(path), data)
                os.utime(at(path), ns=(when, when))

            self.both(change)

    def rename(self):
        """To a name that is free or taken."""
        if not self.files:
            return
        path = self.dice.choice(self.files)
        to = self.dice.choice(self.files) if self.dice.random() < 0.4 else self.new_path()
        if path == to or not (self.free(to) or to in self.files):
            return
        if os.path.samestat(os.lstat(os.path.join(self.mirror, path)), self.stat_or_self(to)):
            return  # names of one file: rename does nothing
        self.both(lambda at: os.rename(at(path), at(to)))
        self.files.remove(path)
        if to not in self.files:
            self.files.append(to)

    def stat_or_self(self, path):
        path = os.path.join(self.mirror, path)
        return os.lstat(path) if os.path.lexists(path) else os.lstat(self.mirror)

    def remove(self):
        if self.files or self.links:
            path = self.dice.choice(self.files + self.links)
            self.both(lambda at: os.unlink(at(path)))
            (self.files if path in self.files else self.links).remove(path)

    def mkdir(self):
        path = os.path.join(self.dice.choice(self.folders), f"d{self.dice.randrange(30)}")
        if self.free(path) and path.count("/") < 6:
            self.both(lambda at: os.mkdir(at(path)))
            self.folders.append(path)

    def rmtree(self):
        if len(self.folders) > 1:
            path = self.dice.choice(self.folders[1:])
            self.both(lambda at: shutil.rmtree(at(path)))
            self.read_tree()

    def move_folder(self):
        if len(self.folders) > 1:
            path = self.dice.choice(self.folders[1:])
            to = os.path.join(self.dice.choice(self.folders), f"d{self.dice.randrange(30)}")
            if self.free(to) and not (to + "/").startswith(path + "/"):
                self.both(lambda at: os.rename(at(path), at(to)))
                self.read_tree()

    def symlink(self):
        path, target = self.new_path(), f"to/{self.dice.randrange(1000)}"
        if self.free(path):
            self.both(lambda at: os.symlink(target, at(path)))
            self.links.append(path)

    def link(self):
        if self.files:
            path, to = self.dice.choice(self.files), self.new_path()
            if self.free(to):
                self.both(lambda at: os.link(at(path), at(to)))
                self.files.append(to)


class Vault:
    def __init__(self, args):
        self.args = args

    def lock_line(self, number):
        with open(self.args.vault + "/lock", encoding="utf-8") as lock:
            return lock.read().splitlines()[number]

    def mount(self, *options):
        subprocess.run([self.args.tain, "mount", "--passfile", self.args.passfile, *options, self.args.vault, self.args.mount],
                       check=True, stdin=subprocess.DEVNULL)

    def unmount(self):
        subprocess.run([self.args.tain, "unmount", self.args.mount], check=True, stdin=subprocess.DEVNULL)

    def commit(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.lock_line(2))
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.write('{"op": "sync"}\n')
                stream.flush()
                reply = json.loads(stream.readline())
                assert reply["ok"], reply

    def kill(self):
        os.kill(int(self.lock_line(0).split()[0]), signal.SIGKILL)

    def wait_until_gone(self):
        # Two minutes only keep a loaded machine from failing what is right.
        for _ in range(2400):
            with open("/proc/self/mounts", encoding="utf-8") as mounts:
                if not any(line.split()[1] == self.args.mount for line in mounts):
                    return
            time.sleep(0.05)
        sys.exit("past: the mount of the killed process stays")


class Moments:
    def __init__(self, mount):
        self.mount = mount
        self.all = []  # name and picture

    def take(self, mirror):
        """What the vault is now, which the mirror must be, too."""
        found = look(self.mount)
        wrong = difference(without_times(look(mirror)), without_times(found))
        assert not wrong, "the present is not what was done:\n" + wrong
        now = time.time_ns() // 1_000_000
        name = time.strftime("%Y-%m-%dT%H.%M.%S", time.localtime(now // 1000)) + f".{now % 1000:03d}"
        self.all.append((name, found))
        time.sleep(0.01)

    def check(self, number):
        name, expected = self.all[number]
        wrong = difference(expected, look(f"{self.mount}/.tain/at/{name}"))
        assert not wrong, f"moment {number}, {name}, is another one now:\n{wrong}"


def lose(vault, work):
    """Works until a kill that comes at any time, and goes on with what is left."""
    timer = threading.Timer(work.dice.random() * 1.5, vault.kill)
    timer.start()
    steps = 0
    try:
        while True:
            work.step()
            steps += 1
    except OSError as error:
        if error.errno not in LOST:
            raise
    timer.join()
    vault.wait_until_gone()
    vault.mount()
    for folder, _, names in os.walk(work.mount):
        for name in names:
            # What an editor that was cut off leaves behind has no history.
            if name.endswith("~") or name.startswith(".goutputstream-"):
                os.unlink(os.path.join(folder, name))
    shutil.rmtree(work.mirror)
    subprocess.run(["cp", "-a", "--no-target-directory", work.mount, work.mirror], check=True)
    work.read_tree()
    return steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("tain", "vault", "mount", "passfile", "mirror"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--operations", type=int, default=2000)
    parser.add_argument("--moments", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    dice = random.Random(args.seed)
    os.mkdir(args.mirror)
    os.chmod(args.mirror, stat.S_IMODE(os.stat(args.mount).st_mode))
    vault, moments = Vault(args), Moments(args.mount)
    work = Work(args.mount, args.mirror, dice)
    done, kills, remounts = 0, 0, 0
    for number in range(args.moments):
        for _ in range(args.operations // args.moments):
            work.step()
            done += 1
        # So that no kill takes it back; and then what is there stands.
        vault.commit()
        time.sleep(1.2)
        moments.take(args.mirror)
        if number % 4 == 1:
            done += lose(vault, work)
            kills += 1
        elif number % 4 == 3:
            vault.unmount()
            vault.mount()
            remounts += 1
        if number % 2 == 1:
            for one in {number, dice.randrange(number + 1)}:
                moments.check(one)
    print(f"  ok: {done} operations, {kills} kills, {remounts} remounts")
    for one in range(args.moments):
        moments.check(one)
    vault.unmount()
    for one in {0, args.moments // 2, args.moments - 1}:
        vault.mount("--at", moments.all[one][0])
        wrong = difference(moments.all[one][1], look(args.mount))
        assert not wrong, f"mount --at {moments.all[one][0]}:\n{wrong}"
        vault.unmount()
    vault.mount()
    print(f"  ok: {args.moments} moments of the past are as they were")


main()
