#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Searches a process's memory: search_memory.py PID, with lines LABEL=WORD on stdin. Prints each LABEL found.

Words are looked for as UTF-8. Exit status 2 when the memory cannot be read (it needs root: the process is not dumpable).
"""
import sys


def main():
    words = [line.rstrip("\n").split("=", 1) for line in sys.stdin]
    pid, found, seen = sys.argv[1], set(), 0
    try:
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                fields = line.split()
                start, end = (int(x, 16) for x in fields[0].split("-"))
                if "r" not in fields[1] or fields[-1] in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                    continue
                if end - start > 1 << 32:  # the database's map: ciphertext, which the canary family searches as a file
                    continue
                try:
                    memory.seek(start)
                    piece = memory.read(end - start)
                except OSError:  # guard pages, device memory
                    continue
                seen += len(piece)
                found |= {label for label, word in words if word.encode() in piece}
    except PermissionError:
        sys.exit(2)
    if seen == 0:
        sys.exit(2)
    for label in sorted(found):
        print(label)


main()
