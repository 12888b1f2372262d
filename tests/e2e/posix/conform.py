#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""POSIX conformance by comparison: the same cases in a plain folder and in a mount.

conform.py run FOLDER FILE [GROUP…]   runs the cases in FOLDER, writes a line "case <tab> outcome" for each to FILE
conform.py compare PLAIN MOUNT        names every difference that docs/posix.md does not (exit 1 if there is one)
conform.py list                       names the groups
"""
import os
import re
import sys
import time

import acl
import direct
import files
import known
import paths
import perms
import times
import world

# Groups that combine calls, paths and modes, and those that combine them with users too: how many of their cases there
# are for each that runs, unless TAIN_LONG is set.
THINNED = {"paths": 11, "rename": 7, "link": 3, "flags": 7, "acl_inheritance": 7}
if world.IS_ROOT:
    THINNED |= {"file_permissions": 11, "folder_permissions": 7, "sticky": 5, "privileges": 7, "umask": 7, "acl_access": 7}
GROUPS = {}
for module in (paths, perms, files, times, direct, acl):
    GROUPS.update(module.GROUPS)


def run(folder, file, wanted):
    os.umask(0)
    with open(file, "w", encoding="utf-8", errors="backslashreplace") as out:
        for name in wanted or GROUPS:
            base = os.path.join(os.path.abspath(folder), name)
            os.mkdir(base)
            os.chmod(base, 0o777)
            r = world.Recorder(base, out, 1 if direct.LONG else THINNED.get(name, 1))
            start = time.monotonic()
            GROUPS[name](r)
            r.leave()
            os.rmdir(base)
            print(f"  {name}: {r.count} cases, {time.monotonic() - start:.1f} s", flush=True)


def read(file):
    cases = {}
    with open(file, encoding="utf-8") as f:
        for line in f:
            label, _, outcome = line.rstrip("\n").partition("\t")
            cases[label] = outcome
    return cases


def compare(plain, mount):
    a, b = read(plain), read(mount)
    if a.keys() != b.keys():
        sys.exit(f"not the same cases: {sorted(a.keys() ^ b.keys())[:5]}")
    excused = dict.fromkeys(known.DIFFERENCES, 0)
    bad = 0
    for label, wanted in a.items():
        got = b[label]
        if got == wanted:
            continue
        reason = next((d for d in known.DIFFERENCES if re.search(d.case, label) and re.search(d.outcome, got)), None)
        if reason is not None:
            excused[reason] += 1
            continue
        bad += 1
        if bad <= 50:
            print(f"{label}\n  plain: {wanted}\n  mount: {got}")
    for difference, count in excused.items():
        if count:
            print(f"  documented: {difference.name}: {count}")
    print(f"  {len(a)} cases, {bad} differences that are not documented")
    sys.exit(1 if bad or not a else 0)


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(sys.argv[2], sys.argv[3], sys.argv[4:])
    elif sys.argv[1] == "compare":
        compare(*sys.argv[2:])
    else:
        print("\n".join(GROUPS))
