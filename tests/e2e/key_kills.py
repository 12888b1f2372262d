# SPDX-License-Identifier: Apache-2.0
"""Kills a change of keys before each of its system calls that write, and looks for who can open the vault then.

Usage: key_kills.py TAIN VAULT FOLDER
  VAULT has two key slots: FOLDER/pass, and FOLDER/second with FOLDER/keyfile. FOLDER/third is in none.
strace counts each system call of each thread for itself, so a place to die is a name and a number. TAIN_LONG: at all of
them, else at some of each change.
"""
import json
import os
import random
import re
import shutil
import subprocess
import sys

CALLS = ("write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat,unlink,"
         "unlinkat,ftruncate,truncate,fallocate,mkdir,mkdirat,fchmod,fchmodat,msync,copy_file_range,flock").split(",")
PLACES = 2  # of each change, when there is little time

tain, vault, folder = sys.argv[1:]
is_long = bool(os.environ.get("LONG"))


def path(name):
    return os.path.join(folder, name)


FIRST = ["--passfile", path("pass")]
SECOND = ["--passfile", path("second"), "--keyfile", path("keyfile")]
THIRD = ["--passfile", path("third")]


def run(command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)


def opens(where, key):
    """Whether `key` opens it. Anything but its content, or being told that this is no key of it, ends the test."""
    result = run([tain, "cat", *key, where + ":diary"])
    if result.returncode == 0 and result.stdout == b"dear diary\n":
        return True
    if result.returncode == 12:
        return False
    sys.exit("%s: exit %d: %s%s" % (key, result.returncode, result.stdout, result.stderr))


def slot_of(kind):
    return next(str(slot["slot"]) for slot in json.loads(run([tain, "key", "list", "--json", vault]).stdout) if slot["type"] == kind)


# What to run; who opens the vault before; who after.
CHANGES = {
    "passwd": (["passwd", "--kdf-time", "0", *FIRST, "--new-passfile", path("third")],
               (True, True, False), (False, True, True), []),
    "key add": (["key", "add", "--kdf-time", "0", *FIRST, "--new-passfile", path("third")],
                (True, True, False), (True, True, True), ["password"]),
    "key remove": (["key", "remove", *FIRST], (True, True, False), (True, False, False), [slot_of("keyfile")]),
    "key rotate": (["key", "rotate", "--void-others", *FIRST], (True, True, False), (True, False, False), []),
}


def command_for(change, where):
    words, _, _, rest = CHANGES[change]
    return [tain, *words, where, *rest]


def fresh():
    where = path("copy")
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(vault, where)
    return where


def places_of(change):
    """Each system call of the change that writes, as (name, number); numbers count in each thread, from 1."""
    log = path("strace.log")
    where = fresh()
    result = run(["strace", "-f", "-o", log, "-e", "trace=?" + ",?".join(CALLS), *command_for(change, where)])
    if result.returncode != 0:
        sys.exit("%s: exit %d: %s" % (change, result.returncode, result.stderr))
    seen = {}
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found = re.match(r"(\d+) +(\w+)\(", line)
            if found:
                key = found.groups()
                seen[key] = seen.get(key, 0) + 1
    most = {}
    for (_, name), number in seen.items():
        most[name] = max(most.get(name, 0), number)
    return [(name, number) for name in sorted(most) for number in range(1, most[name] + 1)]


def who_opens(where):
    return tuple(opens(where, key) for key in (FIRST, SECOND, THIRD))


def try_place(change, name, number):
    _, before, after, _ = CHANGES[change]
    where = fresh()
    result = run(["strace", "-f", "-o", "/dev/null", "-e", "trace=" + name,
                  "-e", "inject=%s:signal=KILL:when=%d" % (name, number), *command_for(change, where)])
    place = "%s, killed at %s %d (exit %d)" % (change, name, number, result.returncode)
    opened_by = who_opens(where)
    allowed = [after] if result.returncode == 0 else [before, after]
    if opened_by not in allowed:
        sys.exit("%s: opens for %s, wanted one of %s" % (place, opened_by, allowed))
    if opened_by == before or change == "key rotate":
        again = run(command_for(change, where))
        if again.returncode != 0:
            sys.exit("%s: again: exit %d: %s" % (place, again.returncode, again.stderr))
        if who_opens(where) != after:
            sys.exit("%s: after it was made again it opens for %s" % (place, who_opens(where)))
    if change == "key rotate" and run([tain, "check", *FIRST, where]).returncode != 0:
        sys.exit("%s: the vault is not sound" % place)
    return result.returncode != 0


def main():
    seed = int(os.environ.get("TAIN_SEED") or random.randrange(1 << 30))
    chance = random.Random(seed)
    for change in CHANGES:
        places = places_of(change)
        chosen = places if is_long or len(places) <= PLACES else chance.sample(places, PLACES)
        killed = sum(try_place(change, *place) for place in chosen)
        if killed == 0:
            sys.exit("%s: nothing was killed" % change)
        print("  %s: %d of %d places, %d kills, seed %d" % (change, len(chosen), len(places), killed, seed), flush=True)


main()
