#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What resources.sh does and counts. The sizes and places are fixed, so that one call checks what another one made."""
import os
import sys
import time

PER_DIRECTORY = 1000
GIB = 1 << 30
PIECES = [(i * GIB + i * 4097, f"piece {i} ".encode() * 3000) for i in range(0, 100, 3)]


def status(pid, field):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def count(what, pid):
    if what in ("peak", "resident"):
        return status(pid, {"peak": "VmHWM", "resident": "VmRSS"}[what])
    if what == "descriptors":
        try:
            return len(os.listdir(f"/proc/{pid}/fd"))
        except PermissionError:  # the process is not dumpable: only root may look
            return 0
    with open(f"/proc/{pid}/stat") as stat:  # faults: proc(5), fields 10 and 12
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[7]) + int(fields[9])


def switches(pid):
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        total += status(f"{pid}/task/{thread}", "voluntary_ctxt_switches")
    return total


def directories(mount, entries):
    return ((f"{mount}/d{i // 100}/d{i}", min(PER_DIRECTORY, entries - i * PER_DIRECTORY))
            for i in range((entries + PER_DIRECTORY - 1) // PER_DIRECTORY))


def make(mount, entries):
    for directory, number in directories(mount, entries):
        os.makedirs(directory)
        for i in range(number):
            with open(f"{directory}/entry number {i}.md", "w") as f:
                f.write(f"{directory} {i}\n")


def list_all(mount, entries):
    found = 0
    for _, _, names in os.walk(mount):
        found += len(names)
    for directory, _ in directories(mount, entries):
        for entry in os.scandir(directory):
            entry.stat()
    assert found == entries, f"{found} entries instead of {entries}"


def sparse(path):
    with open(path, "r+b", buffering=0) as f:
        for offset, data in PIECES:
            f.seek(offset)
            f.write(data)
        os.fsync(f.fileno())


def sparse_check(path):
    with open(path, "rb", buffering=0) as f:
        at = 0
        for offset, data in PIECES:
            at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            assert at <= offset < at + (1 << 20), f"data at {at}, not at {offset}"
            assert os.pread(f.fileno(), len(data), offset) == data, f"the piece at {offset}"
            if offset:
                assert os.pread(f.fileno(), 100, offset - 100) == bytes(100), f"before the piece at {offset}"
            at = os.lseek(f.fileno(), offset, os.SEEK_HOLE)


def punched_check(path, start, end):
    with open(path, "rb", buffering=0) as f:
        for offset, data in PIECES:
            inside = start <= offset and offset + len(data) <= end
            wanted = bytes(len(data)) if inside else data
            assert os.pread(f.fileno(), len(data), offset) == wanted, f"the piece at {offset}"
        at = os.lseek(f.fileno(), start, os.SEEK_DATA)
        assert at >= end, f"data at {at} inside the hole"


def main():
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "count":
        print(count(*arguments))
    elif what == "wakeups":
        before = switches(arguments[0])
        time.sleep(float(arguments[1]))
        print(switches(arguments[0]) - before)
    elif what == "make":
        make(arguments[0], int(arguments[1]))
    elif what == "list":
        list_all(arguments[0], int(arguments[1]))
    elif what == "sparse":
        sparse(arguments[0])
    elif what == "sparse-check":
        sparse_check(arguments[0])
    elif what == "punched-check":
        punched_check(arguments[0], int(arguments[1]), int(arguments[2]))
    else:
        sys.exit(f"resources.py: no {what}")


main()
