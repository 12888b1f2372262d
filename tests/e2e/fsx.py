#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random input and output on two files, every byte compared with a copy in memory: fsx.py --help.

Reads, writes, mapped reads and writes, truncation both ways, holes, zeroed ranges, preallocation, copies within and
between the files, SEEK_DATA, closing and opening, dropping the cache, and, if told how, unmounting and killing the
serving process. After a kill each file must be as it was after some operation since its last fsync.
"""
import argparse
import ctypes
import hashlib
import mmap
import os
import random
import subprocess
import sys

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
libc = ctypes.CDLL(None, use_errno=True)


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"fallocate mode {mode}")


class File:
    """One file and what it must hold."""

    def __init__(self, path, limit):
        self.path, self.limit, self.data, self.fd = path, limit, bytearray(), None
        self.open()
        os.ftruncate(self.fd, 0)
        os.fsync(self.fd)
        self.durable()

    def open(self):
        if self.fd is not None:
            os.close(self.fd)
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)

    def close(self):
        os.close(self.fd)
        self.fd = None

    def digest(self):
        return hashlib.blake2b(self.data, digest_size=12).digest()

    def durable(self):
        self.states = {self.digest()}

    def done(self):
        """Another state that a crash may leave."""
        self.states.add(self.digest())

    def put(self, offset, data):
        if offset > len(self.data):
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset:offset + len(data)] = data

    def check(self, why):
        size = os.fstat(self.fd).st_size
        if size != len(self.data):
            raise AssertionError(f"{why}: {self.path} has {size} bytes instead of {len(self.data)}")
        self.compare(os.pread(self.fd, len(self.data) + 1, 0), 0, why)

    def compare(self, seen, offset, why):
        wanted = bytes(self.data[offset:offset + len(seen)])
        if seen == wanted:
            return
        first = next((i for i, (a, b) in enumerate(zip(seen, wanted)) if a != b), min(len(seen), len(wanted)))
        raise AssertionError(f"{why}: {self.path} differs at {offset + first}: {seen[first:first + 8].hex()} "
                             f"instead of {wanted[first:first + 8].hex()}")

    def after_kill(self):
        self.fd = os.open(self.path, os.O_RDWR)
        found = os.pread(self.fd, self.limit * 2, 0)
        digest = hashlib.blake2b(found, digest_size=12).digest()
        if digest not in self.states:
            raise AssertionError(f"{self.path}: after a kill its {len(found)} bytes are none of the "
                                 f"{len(self.states)} states since the last fsync")
        self.data = bytearray(found)
        os.fsync(self.fd)
        self.durable()


class Run:
    def __init__(self, options):
        self.options, self.random = options, random.Random(options.seed)
        self.files = [File(os.path.join(options.mount, f"fsx{options.seed}-{i}"), options.size) for i in range(2)]

    def place(self, file, longest=None):
        """A range that may pass the end, at edges of cells and blocks more often than chance would have it."""
        r = self.random
        limit = file.limit
        offset = r.randrange(limit)
        if r.random() < 0.4:
            step = r.choice((4096, 65536))
            offset = min(limit - 1, max(0, offset // step * step + r.choice((-1, 0, 0, 1))))
        length = int(min(longest or limit, limit - offset, 2 ** r.uniform(0, 17)))
        if r.random() < 0.2:
            length = max(1, length // 4096 * 4096)
        return offset, max(1, min(length, limit - offset))

    def bytes(self, length):
        if self.random.random() < 0.1:
            return bytes(length)
        return self.random.randbytes(length)

    def op_read(self, file):
        offset, length = self.place(file)
        seen = os.pread(file.fd, length, offset)
        wanted = max(0, min(length, len(file.data) - offset))
        if len(seen) != wanted:
            raise AssertionError(f"read {length} at {offset} gives {len(seen)} bytes instead of {wanted}")
        file.compare(seen, offset, "read")

    def op_write(self, file):
        offset, length = self.place(file)
        data = self.bytes(length)
        if os.pwrite(file.fd, data, offset) != length:
            raise AssertionError("short write")
        file.put(offset, data)

    def op_append(self, file):
        length = self.random.randrange(1, 3000)
        if len(file.data) + length <= file.limit:
            data = self.bytes(length)
            os.pwrite(file.fd, data, len(file.data))
            file.put(len(file.data), data)

    def op_map_read(self, file):
        if not file.data:
            return
        offset, length = self.place(file)
        offset = min(offset, len(file.data) - 1)
        with mmap.mmap(file.fd, len(file.data), access=mmap.ACCESS_READ) as m:
            file.compare(m[offset:min(offset + length, len(file.data))], offset, "mapped read")

    def op_map_write(self, file):
        if not file.data:
            return
        offset, length = self.place(file, 60000)
        offset = min(offset, len(file.data) - 1)
        data = self.bytes(min(length, len(file.data) - offset))
        with mmap.mmap(file.fd, len(file.data)) as m:
            m[offset:offset + len(data)] = data
            m.flush()
        file.put(offset, data)

    def op_truncate(self, file):
        size = self.random.choice((0, self.random.randrange(file.limit), self.place(file)[0], len(file.data) // 2))
        os.ftruncate(file.fd, size)
        del file.data[size:]
        file.data.extend(bytes(size - len(file.data)))

    def op_punch(self, file):
        offset, length = self.place(file)
        fallocate(file.fd, PUNCH_HOLE | KEEP_SIZE, offset, length)
        end = min(offset + length, len(file.data))
        if offset < end:
            file.data[offset:end] = bytes(end - offset)

    def op_zero(self, file):
        offset, length = self.place(file)
        keep = self.random.random() < 0.5
        fallocate(file.fd, ZERO_RANGE | (KEEP_SIZE if keep else 0), offset, length)
        end = min(offset + length, len(file.data)) if keep else offset + length
        if offset < end:
            file.put(offset, bytes(end - offset))

    def op_allocate(self, file):
        offset, length = self.place(file)
        fallocate(file.fd, 0, offset, length)
        file.data.extend(bytes(max(0, offset + length - len(file.data))))

    def op_copy(self, file):
        source = self.random.choice(self.files)
        if not source.data:
            return
        start, length = self.place(source, 100000)
        start = min(start, len(source.data) - 1)
        to = self.random.randrange(file.limit)
        length = min(length, len(source.data) - start, file.limit - to)
        if source is file and start < to + length and to < start + length:
            return  # overlapping ranges of one file are refused
        while length > 0:
            done = os.copy_file_range(source.fd, file.fd, length, start, to)
            if done == 0:
                raise AssertionError("copy_file_range copies nothing")
            file.put(to, bytes(source.data[start:start + done]))
            start, to, length = start + done, to + done, length - done

    def op_seek(self, file):
        """Whatever is said to be a hole reads as zeros."""
        if not file.data:
            return
        offset = self.random.randrange(len(file.data))
        try:
            data = os.lseek(file.fd, offset, os.SEEK_DATA)
        except OSError:
            data = len(file.data)
        if any(file.data[offset:data]):
            raise AssertionError(f"SEEK_DATA from {offset} passes over data before {data}")

    def op_fsync(self, file):
        (os.fsync if self.random.random() < 0.5 else os.fdatasync)(file.fd)
        file.durable()

    def op_reopen(self, file):
        file.open()

    def op_drop(self, file):
        os.posix_fadvise(file.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def remount(self):
        for file in self.files:
            file.check("before the unmount")
            file.close()
        subprocess.run(self.options.unmount, shell=True, check=True)
        subprocess.run(self.options.remount, shell=True, check=True)
        for file in self.files:
            file.open()
            file.check("after a remount")
            file.durable()  # an unmount stores everything

    def kill(self):
        subprocess.run(self.options.kill, shell=True, check=True)
        for file in self.files:
            file.close()
        subprocess.run(self.options.remount, shell=True, check=True)
        for file in self.files:
            file.after_kill()

    def run(self):
        weights = {"read": 12, "write": 12, "append": 5, "map_read": 6, "map_write": 6, "truncate": 4, "punch": 3,
                   "zero": 2, "allocate": 2, "copy": 4, "seek": 2, "fsync": 1, "reopen": 1, "drop": 2}
        names = self.random.choices(list(weights), weights.values(), k=self.options.operations)
        log = []
        try:
            for number, name in enumerate(names, 1):
                file = self.random.choice(self.files)
                log = log[-20:] + [f"{number} {name} {os.path.basename(file.path)}"]
                getattr(self, "op_" + name)(file)
                if self.options.kill:
                    file.done()
                if self.options.remount and number % self.options.every == 0:
                    log.append("remount or kill")
                    self.kill() if self.options.kill and self.random.random() < 0.6 else self.remount()
            for file in self.files:
                file.check("at the end")
        except (AssertionError, OSError) as error:
            sys.exit(f"fsx: seed {self.options.seed}: {error}\nlast operations: " + "; ".join(log))
        print(f"  ok: {len(names)} operations, seed {self.options.seed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mount", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", type=int, default=10000)
    parser.add_argument("--size", type=int, default=400000, help="the files' largest size, bytes")
    parser.add_argument("--every", type=int, default=1000, help="operations between two remounts or kills")
    parser.add_argument("--remount", help="command that mounts again")
    parser.add_argument("--unmount", help="command that unmounts")
    parser.add_argument("--kill", help="command that kills the serving process and waits for its end")
    Run(parser.parse_args()).run()


main()
