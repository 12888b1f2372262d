#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where secrets are while tain runs, and that they are nowhere else: secret_search.py TAIN WORK VECTORS [--every-call].

Runs commands of tain as secret_trace.py does, and looks for the password, keyfiles, recovery words, the master key and all
that is derived from them. Then the same with a mount, before and after it is locked.
It needs root, and prints a line for each thing that is well; exits 1 with what was found, where.
"""
import os
import re
import resource
import signal
import subprocess
import sys
import time

sys.path.append(os.path.dirname(os.path.realpath(__file__)))
from secret_trace import (MNT, TAIN, VAULT, VECTORS, WORK, Run, canary, check, core_limits, failures, header_of, holder,  # noqa: E402
                          json_of, keys_of, needles, nothing_on_disk, ok, parent_of, processes_of_tain, search_process, secret_file,
                          traced)

# --- the commands --------------------------------------------------------------------------------------------------
def decode_words(words):
    numbers = [known_words().index(word) for word in words]
    bits = "".join(f"{n:011b}" for n in numbers)
    return int(bits[:160], 2).to_bytes(20, "big")


_words = []


def known_words():
    """The list, as the program has it: four thousand bytes of words, one after the other."""
    if not _words:
        with open(f"{VECTORS}/recovery_word_list.cc", encoding="utf-8") as f:
            _words.extend(re.findall(r'"([a-z]+)"', f.read()))
    return _words


def sheet_words(path):
    with open(path, encoding="utf-8") as f:
        rows = dict((int(n), w) for n, w in re.findall(r"(\d+) ([a-z]+)", f.read().split("made")[1].split("Whoever")[0]))
    return [rows[i] for i in range(1, 16)]


def main():
    password, second, third, typed = (f"p-{canary()}" for _ in range(4))
    keyfile = os.urandom(64)
    for label, value in (("the password", password), ("the second password", second), ("the third password", third),
                         ("the typed password", typed), ("the keyfile", keyfile)):
        needles.add(label, value)
    first_file, second_file, third_file = (secret_file(f"secret-{i}", v) for i, v in enumerate((password, second, third)))
    keyfile_path = secret_file("secret-keyfile", keyfile)
    cheap = ["--kdf-time", "0"]

    # The control: what is not in the arena is found.
    control = Run("control")
    needles.add("a canary of this script", here := f"c-{canary()}")
    control.look_at(os.getpid(), "now")
    if not any(needles.found_in(content) for content, _, _ in control.memory.values()):
        sys.exit("the search finds nothing where there is something")
    del here

    runs = [traced("init", ["init", *cheap, "--passfile", first_file, "--recovery", "--sheet", f"{WORK}/sheet", VAULT])]
    words = sheet_words(f"{WORK}/sheet")
    needles.add_words("the recovery words", words)
    needles.add("the recovery secret", decode_words(words))
    words_file = secret_file("secret-words", " ".join(words))
    needles.add_keys("first header", keys_of(header_of(), password.encode()))
    needles.add_keys("first header, recovery", keys_of(header_of(), decode_words(words)))
    check(runs[0], may_write=["/sheet"])
    ok(f"init: {runs[0].calls} system calls, {len(runs[0].memory)} different pages of memory")

    run = traced("init that shows its words", ["init", *cheap, "--passfile", first_file, "--recovery", f"{WORK}/other"])
    shown = re.search(rb"(?m)^(?:[a-z]+ ){14}[a-z]+ ?$", run.output).group().decode().split()
    needles.add_words("the shown recovery words", shown)
    needles.add("the shown recovery secret", decode_words(shown))
    needles.add_keys("other vault", keys_of(header_of(f"{WORK}/other"), password.encode()))
    check(run, may_write=["pipe:"])
    ok("words that are shown stay in no buffer")

    fd = os.open(first_file, os.O_RDONLY)
    for run in (
            traced("key add", ["key", "add", *cheap, "--passcmd", f"cat {first_file}", "--new-passcmd", f"cat {second_file}", VAULT, "password"]),
            traced("key add keyfile", ["key", "add", *cheap, "--passfile", first_file, "--new-passfile", third_file, "--new-keyfile", keyfile_path, VAULT, "keyfile"]),
            traced("ls from stdin", ["ls", VAULT], stdin=password.encode() + b"\n"),
            traced("ls from a descriptor", ["ls", "--pass-fd", str(fd), VAULT], pass_fds=[fd]),
            traced("ls by the environment", ["ls", VAULT], env={"TAIN_PASSFILE": first_file}),
            traced("ls with recovery words", ["ls", "--recovery", "--passfile", words_file, VAULT]),
            traced("ls with words as password", ["ls", "--passfile", words_file, VAULT]),
            traced("ls with a keyfile", ["ls", "--keyfile", keyfile_path, "--passfile", third_file, VAULT]),
            traced("a wrong password", ["ls", "--passfile", secret_file("secret-wrong", typed), VAULT], wanted=12),
            traced("check", ["check", "--passfile", first_file, VAULT]),
            traced("header backup", ["header", "backup", VAULT, f"{WORK}/backup"])):
        runs.append(run)
    header = header_of()
    needles.add_keys("second password", keys_of(header, second.encode()))
    needles.add_keys("third password", keys_of(header, third.encode(), keyfile))
    for run in runs[1:]:
        check(run)
    ok(f"key add, ls by every way in, check, header backup: {sum(run.calls for run in runs[1:])} system calls")

    run = traced("passwd at a terminal", ["passwd", *cheap, VAULT],
                 typed=[("Password", password), ("New password", typed), ("Repeat", typed)])
    needles.add_keys("typed password", keys_of(header_of(), typed.encode()))
    check(run)
    run = traced("ls with words at a terminal", ["ls", "--recovery", VAULT], typed=[("from word 1", " ".join(words[:8])), ("from word 9", " ".join(words[8:]))])
    check(run)
    run = traced("init at a terminal", ["init", *cheap, f"{WORK}/terminal"], typed=[("Password", second), ("Repeat", second)])
    needles.add_keys("terminal vault", keys_of(header_of(f"{WORK}/terminal"), second.encode()))
    check(run)
    typed_file = secret_file("secret-typed", typed)
    ok("what is typed")

    os.unlink(f"{VAULT}/header")
    os.unlink(f"{VAULT}/header.bak")
    check(traced("header restore", ["header", "restore", "--passfile", first_file, VAULT, f"{WORK}/backup"]))
    check(traced("passwd", ["passwd", *cheap, "--passfile", first_file, "--new-passfile", typed_file, VAULT]))
    needles.add_keys("new password", keys_of(header_of(), typed.encode()))
    slots = json_of("key", "list", "--json", VAULT)
    check(traced("key remove", ["key", "remove", "--passfile", typed_file, VAULT, next(s["slot"] for s in slots if s["type"] == "keyfile")]))
    run = traced("key rotate", ["key", "rotate", "--void-others", "--passfile", typed_file, VAULT])
    needles.add_keys("after key rotate", keys_of(header_of(), typed.encode()))
    check(run)
    ok("header restore, passwd, key remove, key rotate")

    mount_and_lock(typed_file)
    no_core(typed_file)
    nothing_on_disk()


def mount_and_lock(passfile):
    run = traced("mount", ["mount", "--passfile", passfile, VAULT, MNT], stays=True)
    check(run)
    pid = holder()
    supervisor = parent_of(pid)
    for i in range(50):
        with open(f"{MNT}/file-{i}", "w") as f:
            f.write(f"{i}" * 1000)
            os.fsync(f.fileno())
    os.listdir(MNT)
    outside, inside = search_process(pid)
    check(outside)
    if "after key rotate: subkey record" not in inside:
        sys.exit(f"the serving process does not have in its arena what it works with: {sorted(inside)}")
    kept = sorted(label for label in inside if "password" in label.split(":")[-1] or "slot key" in label or "master key" in label)
    if kept:
        failures.append(f"mount: {', '.join(kept)} in the arena, which serving does not need")
    outside, inside = search_process(supervisor)
    check(outside)
    if inside:
        failures.append(f"mount: {sorted(inside)} in the supervisor")
    for process in (pid, supervisor):
        core = core_limits(process)
        if core != ["0", "0"]:
            failures.append(f"mount: process {process} may leave a core of {core}")
    check(traced("passwd of a mounted vault", ["passwd", "--kdf-time", "0", "--passfile", passfile, "--new-passfile", passfile, MNT]))
    ok("a mount has its keys in the arena, and nowhere else")

    check(traced("unmount", ["unmount", MNT]))
    alive = processes_of_tain()
    if alive:
        failures.append(f"after the lock these live: {alive}")
    ok("after the lock no process is left")


def no_core(passfile):
    """Who kills it, even with the limit on cores taken away, gets none."""
    folder = f"{WORK}/cores"
    os.mkdir(folder)

    def death_of(words):
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)))
        time.sleep(0.5)  # it waits for its password command, which does not come to an end
        try:
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (-1, -1))
        except PermissionError:
            print("  (the limit on cores stays: this root may not raise it)")
        os.kill(process.pid, signal.SIGSEGV)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = 0
        if not os.WIFSIGNALED(status):
            sys.exit(f"{words} ended with {status} before it could be killed")
        return os.WCOREDUMP(status)

    if not death_of(["/bin/sleep", "100"]):
        print("  (no core of anything here: the system makes none)")
    if death_of([TAIN, "ls", "--passcmd", "sleep 3", VAULT]):
        failures.append("a killed command left a core")
    left = [name for name in os.listdir(folder) if os.path.getsize(f"{folder}/{name}")]
    for name in left:
        with open(f"{folder}/{name}", "rb") as f:
            for label in needles.found_in(f.read()):
                failures.append(f"{label} in a core")
    ok("no core of a killed command")


main()
