#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""counts.py VAULT MOUNT STEP: does one kind of work and compares what tain did for it with what it may cost.

Limits are for each operation, with some room for what kernels do differently. The commit that follows is included.
Nobody may drop the kernel's caches meanwhile.
"""
import json
import os
import socket
import sys
import time

FILES = 500
SIZE = 1500
SAVES = 50
MEGABYTES = 64
PAGES = 2000
MIB = 1 << 20
WORK = ("journal_frames", "journal_flushes", "commits", "read_transactions", "pages", "bytes_put", "bytes_sealed",
        "bytes_opened", "bytes_copied")


def counters(vault):
    with open(vault + "/lock", encoding="utf-8") as lock:
        path = lock.read().splitlines()[2]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        with connection.makefile("rw", encoding="utf-8") as stream:
            for op in ("sync", "counters"):
                stream.write(json.dumps({"op": op}) + "\n")
                stream.flush()
                reply = json.loads(stream.readline())
                assert reply["ok"], reply
    # The kernel forgets when it likes.
    requests = {kind: number for kind, number in reply["requests"].items() if kind != "forget"}
    return {"requests": sum(requests.values()), **{name: reply["work"][name] for name in WORK}, "kinds": requests}


def put(path, data, sync=False):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    assert os.write(fd, data) == len(data)
    if sync:
        os.fsync(fd)
    os.close(fd)


def names(mount):
    return (f"{mount}/journal/{i}.md" for i in range(FILES))


def create(mount):
    os.mkdir(mount + "/journal")
    for name in names(mount):
        put(name, b"e" * SIZE)
    return FILES


def save(mount):
    for i in range(SAVES):
        put(mount + "/new", bytes([i]) * 8000, sync=True)
        os.rename(mount + "/new", mount + "/document.md")
        fd = os.open(mount, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    return SAVES


def write(mount):
    fd = os.open(mount + "/large", os.O_WRONLY | os.O_CREAT, 0o644)
    for i in range(MEGABYTES):
        assert os.write(fd, bytes([i]) * MIB) == MIB
    os.fsync(fd)
    os.close(fd)
    return MEGABYTES


def list_all(mount):
    found = sum(entry.stat(follow_symlinks=False).st_size == SIZE for entry in os.scandir(mount + "/journal"))
    assert found == FILES
    return FILES


def read(mount):
    for name in names(mount):
        fd = os.open(name, os.O_RDONLY)  # open() would ask for attributes, of which the kernel knows that atime has changed
        assert os.read(fd, 2 * SIZE) == b"e" * SIZE
        os.close(fd)
    return FILES


def read_large(mount):
    with open(mount + "/large", "rb", buffering=0) as f:
        for i in range(MEGABYTES):
            assert f.read(MIB) == bytes([i]) * MIB
    return MEGABYTES


def overwrite(mount):
    fd = os.open(mount + "/large", os.O_WRONLY)
    for i in range(PAGES):
        os.pwrite(fd, b"p" * 4096, i * 7919 % (MEGABYTES * 256) * 4096)
    os.fsync(fd)
    os.close(fd)
    return PAGES


def delete(mount):
    for name in names(mount):
        os.unlink(name)
    return FILES


# step: what is done, and for each of its operations at most so much
STEPS = {
    # LOOKUP, MKNOD, WRITE, and as long as the kernel asks for them GETATTR of the folder and GETXATTR for capabilities
    "create": (create, {"requests": 5.2, "commits": 0.02, "journal_flushes": 0, "bytes_sealed": SIZE + 600,
                        "bytes_copied": SIZE, "bytes_opened": 20}),
    "save": (save, {"requests": 11.5, "journal_frames": 2, "journal_flushes": 2, "commits": 0.2, "bytes_copied": 4 * 8000}),
    "write": (write, {"requests": 1.4, "journal_flushes": 0, "commits": 0.2, "bytes_sealed": 1.02 * MIB,
                      "bytes_copied": MIB + 64, "bytes_put": 1.02 * MIB}),
    "list": (list_all, {"requests": 0.1, "read_transactions": 1.2, "pages": 5, "commits": 0}),
    "read": (read, {"requests": 2.1, "read_transactions": 3.2, "pages": 10, "bytes_opened": SIZE + 600,
                    "bytes_copied": 0, "commits": 0}),
    "again": (read, {"requests": 0.02, "bytes_opened": 0}),  # from the kernel's cache, which survives close and open
    "read-large": (read_large, {"requests": 8.5, "bytes_opened": 1.02 * MIB, "bytes_copied": 0}),
    # A patch holds the cells that changed: not the block of 65536.
    "overwrite": (overwrite, {"requests": 1.1, "bytes_sealed": 2 * 4096, "bytes_put": 2 * 4096, "bytes_opened": 4096,
                              "journal_flushes": 0, "commits": 0.01}),
    # Into the trash: the inode's record with when it went, and the name with its end.
    "delete": (delete, {"requests": 3.3, "read_transactions": 3.2, "commits": 0.02, "bytes_sealed": 1000}),
}


def main():
    vault, mount, step = sys.argv[1:]
    work, limits = STEPS[step]
    started = time.monotonic()
    before = counters(vault)
    operations = work(mount)
    after = counters(vault)
    seconds = time.monotonic() - started
    kinds = {kind: number - before["kinds"].get(kind, 0) for kind, number in after["kinds"].items()}
    over = []
    for name, limit in limits.items():
        each = (after[name] - before[name]) / operations
        # A machine that takes longer for the work sees more of the commits that are made every second.
        limit = max(limit, seconds / operations) if name == "commits" else limit
        # One operation of the whole loop is the commit, or the opening of the file.
        if each > limit + 2 / operations:
            over.append(f"{name} {each:.2f}, more than {limit:.2f}")
    assert not over, f"{step}: {'; '.join(over)}; requests: {kinds}"
    print(f"  ok: {step}: {(after['requests'] - before['requests']) / operations:.2f} requests each")


main()
