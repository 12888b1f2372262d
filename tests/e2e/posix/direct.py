# SPDX-License-Identifier: Apache-2.0
"""What no single call shows: listings while the folder changes, many processes, very large folders, mapped files."""
import ctypes
import mmap
import os
import signal
import stat
import time

from world import LIBC, call, get, put, utimensat

LONG = bool(os.environ.get("LONG"))
MANY = 4000 if LONG else 2000  # names in a folder: more than getdents gives at once
LIBC.fdopendir.restype = LIBC.opendir.restype = LIBC.readdir64.restype = ctypes.c_void_p
LIBC.telldir.restype = ctypes.c_long


class Listing:
    """A directory stream of the C library: one name at a time, with telldir and seekdir."""

    class Entry(ctypes.Structure):
        _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("len", ctypes.c_uint16), ("type", ctypes.c_uint8), ("name", ctypes.c_char * 256)]

    def __init__(self, path):
        self.stream = ctypes.c_void_p(LIBC.opendir(os.fsencode(path)))
        assert self.stream.value, path

    def next(self):
        entry = LIBC.readdir64(self.stream)
        return None if not entry else ctypes.cast(entry, ctypes.POINTER(self.Entry)).contents

    def names(self):
        out = []
        while (entry := self.next()) is not None:
            out.append(entry.name.decode())
        return out

    def tell(self):
        return LIBC.telldir(self.stream)

    def seek(self, position):
        LIBC.seekdir(self.stream, ctypes.c_long(position))

    def rewind(self):
        LIBC.rewinddir(self.stream)

    def close(self):
        LIBC.closedir(self.stream)


def fill(count, prefix="f"):
    for i in range(count):
        os.close(os.open(f"{prefix}{i}", os.O_CREAT | os.O_WRONLY))


def listing_cases(r):
    def seek():
        fill(500)
        d = Listing(".")
        places, names = [], []
        while True:
            places.append(d.tell())
            entry = d.next()
            if entry is None:
                break
            names.append(entry.name)
        bad = 0
        for i in list(range(len(names)))[::-7]:
            d.seek(places[i])
            if d.next().name != names[i]:
                bad += 1
        d.rewind()
        again = d.names()
        d.close()
        return len(set(names)) == len(names) == 502, bad, again == [n.decode() for n in names]
    r.direct("telldir and seekdir", seek)

    def types():
        put("reg")
        os.mkdir("dir")
        os.mkfifo("fifo")
        os.symlink("x", "link")
        os.mknod("sock", stat.S_IFSOCK | 0o600)
        d = Listing(".")
        out = []
        while (e := d.next()) is not None:
            name = e.name.decode()
            inode = os.lstat(name).st_ino
            out.append((name, e.type, e.ino == inode if name != ".." else True))
        d.close()
        return sorted(out)
    r.direct("types and numbers in a listing", types)

    def while_deleting(step):
        def run():
            fill(MANY)
            seen, d, count = [], Listing("."), 0
            while (e := d.next()) is not None:
                name = e.name.decode()
                seen.append(name)
                count += 1
                if name.startswith("f") and count % step == 0:
                    os.unlink(name)
            d.close()
            left = sorted(os.listdir("."))
            return len(seen) == len(set(seen)), len(seen), set(left) <= set(seen)
        return run
    for step in (1, 2, 3, 100):
        r.direct(f"listing while every {step}. name goes", while_deleting(step))

    def delete_ahead():
        fill(MANY)
        d = Listing(".")
        first = [d.next().name.decode() for _ in range(100)]
        gone = {f"f{i}" for i in range(0, MANY, 2)}
        for name in gone:
            os.unlink(name)
        seen = first + d.names()
        d.close()
        kept = {f"f{i}" for i in range(1, MANY, 2)}
        return len(seen) == len(set(seen)), kept <= set(seen)
    r.direct("listing while half of the rest goes", delete_ahead)

    def create_during():
        fill(MANY)
        d = Listing(".")
        first = [d.next().name.decode() for _ in range(500)]
        fill(MANY, "new")
        seen = first + d.names()
        d.close()
        return len(seen) == len(set(seen)), {f"f{i}" for i in range(MANY)} <= set(seen), set(os.listdir(".")) == {f"{p}{i}" for p in ("f", "new") for i in range(MANY)}
    r.direct("listing while names come", create_during)

    def rename_during():
        fill(MANY)
        d = Listing(".")
        first = [d.next().name.decode() for _ in range(200)]
        for i in range(0, MANY, 3):
            os.rename(f"f{i}", f"r{i}")
        seen = first + d.names()
        d.close()
        untouched = {f"f{i}" for i in range(MANY) if i % 3}
        return len(seen) == len(set(seen)), untouched <= set(seen)
    r.direct("listing while names change", rename_during)

    def storm():
        fill(MANY // 2, "stay")
        stop = time.monotonic() + (20 if LONG else 1)
        pids = []
        for worker in range(3):
            pid = os.fork()
            if pid == 0:
                n = 0
                while time.monotonic() < stop:
                    names = [f"w{worker}.{n}.{i}" for i in range(50)]
                    for name in names:
                        put(name)
                    for name in names[::2]:
                        os.rename(name, name + ".moved")
                    for name in names:
                        os.unlink(name + ".moved" if os.path.exists(name + ".moved") else name)
                    n += 1
                os._exit(0)
            pids.append(pid)
        stay = {f"stay{i}" for i in range(MANY // 2)}
        bad = 0
        while time.monotonic() < stop:
            d = Listing(".")
            seen = d.names()
            d.close()
            if not stay <= set(seen) or len([n for n in seen if n.startswith("stay")]) != MANY // 2:
                bad += 1
        for pid in pids:
            _, status = os.waitpid(pid, 0)
            bad += status != 0
        return bad, len(os.listdir("."))
    r.direct("listing in a storm", storm)

    def empty():
        os.mkdir("d")
        d = Listing("d")
        out = sorted(d.names())
        put("d/late")
        d.rewind()
        late = sorted(d.names())
        os.unlink("d/late")
        d.rewind()
        out2 = sorted(d.names())
        d.close()
        return out, late, out2
    r.direct("an empty folder, rewound", empty)


def large_cases(r):
    count = 66_000 if LONG else 5_000

    def subfolders():
        os.mkdir("d")
        for i in range(count):
            os.mkdir(f"d/{i}")
        s = os.stat("d").st_nlink
        names = os.listdir("d")
        # ext4 stops counting links at 65 000 and says 1 from then on.
        is_counted = count < 64_990
        out = s == count + 2 or not is_counted, len(names) == count == len(set(names))
        for i in range(count):
            os.rmdir(f"d/{i}")
        return out, os.stat("d").st_nlink == 2 or not is_counted, os.listdir("d")
    r.direct(f"{count} subfolders", subfolders)

    def links():
        put("f")
        for i in range(2000):
            os.link("f", f"l{i}")
        out = os.stat("f").st_nlink
        for i in range(0, 2000, 2):
            os.unlink(f"l{i}")
        return out, os.stat("l1").st_nlink
    r.direct("2000 links to a file", links)


def process_cases(r):
    def appenders(flags, count=8, lines=300):
        def run():
            put("log")
            pids = []
            for worker in range(count):
                pid = os.fork()
                if pid == 0:
                    fd = os.open("log", os.O_WRONLY | os.O_APPEND | flags)
                    for i in range(lines):
                        os.write(fd, f"{worker:02d} {i:05d} {'x' * (i % 200)}\n".encode())
                    os._exit(0)
                pids.append(pid)
            for pid in pids:
                os.waitpid(pid, 0)
            text = get("log").decode().splitlines()
            order = {w: [int(line.split()[1]) for line in text if line.startswith(f"{w:02d} ")] for w in range(count)}
            return len(text), all(order[w] == list(range(lines)) for w in order), all(len(line) == 9 + int(line.split()[1]) % 200 for line in text)
        return run
    r.direct("appends of many processes", appenders(0))
    r.direct("synchronous appends of many processes", appenders(os.O_DSYNC, 4, 20))

    def exclusive():
        pids, out = [], os.pipe()
        for worker in range(8):
            pid = os.fork()
            if pid == 0:
                won = 0
                for i in range(100):
                    try:
                        os.close(os.open(f"x{i}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                        won += 1
                    except FileExistsError:
                        pass
                os.write(out[1], f"{won}\n".encode())
                os._exit(0)
            pids.append(pid)
        for pid in pids:
            os.waitpid(pid, 0)
        os.close(out[1])
        with os.fdopen(out[0]) as f:
            return sum(int(line) for line in f), len(os.listdir("."))
    r.direct("only one makes a file", exclusive)

    def renames():
        put("a", b"a")
        os.mkdir("d")
        stop = time.monotonic() + 1
        pid = os.fork()
        if pid == 0:
            while time.monotonic() < stop:
                os.rename("a", "d/a")
                os.rename("d/a", "a")
            os._exit(0)
        twice = 0
        while time.monotonic() < stop:
            put("tmp", b"new")
            os.rename("tmp", "target")
            if get("target") != b"new":
                twice += 1
        os.waitpid(pid, 0)
        return twice, sorted(os.listdir(".")), os.listdir("d"), os.stat("a").st_nlink
    r.direct("renames side by side", renames)

    def into_itself():
        os.makedirs("a/b/c")
        os.makedirs("x/y/z")
        stop = time.monotonic() + 1
        pids = []
        for source, target in (("a", "x/y/a"), ("x", "a/b/x")):
            pid = os.fork()
            if pid == 0:
                while time.monotonic() < stop:
                    for one, other in ((source, target), (target, source)):
                        try:
                            os.rename(one, other)
                        except OSError:
                            pass
                os._exit(0)
            pids.append(pid)
        for pid in pids:
            os.waitpid(pid, 0)
        found = sorted(name for _, dirs, _ in os.walk(".") for name in dirs)
        return found
    r.direct("crossing renames make no loop", into_itself)


def mapping_cases(r):
    def shared(size):
        def run():
            put("f", b"0" * size)
            utimensat("f", (1000, 0), (1000, 0))
            fd = os.open("f", os.O_RDWR)
            m = mmap.mmap(fd, size)
            m[10:15] = b"hello"
            m.flush()
            newer = os.fstat(fd).st_mtime > 1000, os.fstat(fd).st_ctime > 1000
            out = os.pread(fd, 5, 10)
            os.pwrite(fd, b"JELLO", 10)
            back = m[10:15]
            os.ftruncate(fd, size + 5000)
            out2 = os.pread(fd, 5, size)
            m.close()
            os.close(fd)
            return out, back, out2, newer, os.stat("f").st_size
        return run
    for size in (20, 4096, 70_000, 1 << 20):
        r.direct(f"a mapping of {size} bytes", shared(size))

    def private():
        put("f", b"0" * 100)
        with open("f", "r+b") as f, mmap.mmap(f.fileno(), 100, flags=mmap.MAP_PRIVATE) as m:
            m[0:3] = b"abc"
            return get("f")[:3], m[0:3]
    r.direct("a private mapping", private)

    def beyond():
        put("f", b"0" * 8192)
        pid = os.fork()
        if pid == 0:
            fd = os.open("f", os.O_RDWR)
            m = mmap.mmap(fd, 8192)
            os.ftruncate(fd, 100)
            ok = m[0:1] == b"0" and m[200:201] == b"\0"
            m[5000:5001]
            os._exit(0 if ok else 1)
        _, status = os.waitpid(pid, 0)
        return os.WIFSIGNALED(status), os.WTERMSIG(status) == signal.SIGBUS
    r.direct("a mapping past the end", beyond)

    def two_processes():
        put("f", b"0" * 4096)
        pid = os.fork()
        fd = os.open("f", os.O_RDWR)
        m = mmap.mmap(fd, 4096)
        if pid == 0:
            m[100:103] = b"abc"
            os._exit(0)
        os.waitpid(pid, 0)
        return m[100:103], get("f")[100:103]
    r.direct("a mapping in two processes", two_processes)


def watch_cases(r):
    def watched(function):
        def run():
            fd = LIBC.inotify_init1(os.O_NONBLOCK)
            call(LIBC.inotify_add_watch(fd, b".", 0xfff))
            function()
            try:
                data = os.read(fd, 65536)
            except BlockingIOError:
                data = b""
            os.close(fd)
            events, at = [], 0
            while at < len(data):
                mask = int.from_bytes(data[at + 4:at + 8], "little")
                length = int.from_bytes(data[at + 12:at + 16], "little")
                events.append((hex(mask), data[at + 16:at + 16 + length].rstrip(b"\0").decode()))
                at += 16 + length
            return events
        return run
    for name, function in {
        "create": lambda: put("n", b"x"), "rename": lambda: os.rename("f", "g"), "unlink": lambda: os.unlink("f"), "mkdir": lambda: os.mkdir("d"),
        "chmod": lambda: os.chmod("f", 0o600), "read": lambda: get("f"), "truncate": lambda: os.truncate("f", 1), "list": lambda: os.listdir("."),
        "symlink": lambda: os.symlink("a", "b"), "link": lambda: os.link("f", "g"), "setxattr": lambda: os.setxattr("f", "user.a", b"b"), "utimes": lambda: utimensat("f", (1, 1), (2, 2)),
    }.items():
        r.case(f"events of {name}", watched(function), build=lambda: put("f", b"hello"))


def program_cases(r):
    """Running programs, and other file systems."""
    def build():
        import shutil
        shutil.copy("/bin/sleep", "sleep")
        os.chmod("sleep", 0o755)
        put("script", b"#!/bin/sh\necho it ran\n", 0o755)
        put("f", b"hello")

    def running(function):
        def run():
            pid = os.posix_spawn("./sleep", ["sleep", "100"], {})
            try:
                return function()
            finally:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        return run
    for name, function in {
        "open w": lambda: os.close(os.open("sleep", os.O_WRONLY)), "open trunc": lambda: os.close(os.open("sleep", os.O_RDONLY | os.O_TRUNC)),
        "truncate": lambda: os.truncate("sleep", 0), "unlink": lambda: os.unlink("sleep"), "rename over": lambda: os.rename("f", "sleep"),
        "chmod": lambda: os.chmod("sleep", 0o600), "utimes": lambda: utimensat("sleep", (1, 1), (2, 2)),
    }.items():
        r.case(f"{name} of a running program", running(function), build=build, keep=False)
    import subprocess
    r.case("a script", lambda: subprocess.run(["./script"], capture_output=True, check=False).stdout, build=build)
    r.case("a program that is not executable", lambda: subprocess.run(["./f"], check=False), build=build)
    r.case("run while open for writing", lambda: (os.open("script", os.O_WRONLY | os.O_CLOEXEC), subprocess.run(["./script"], check=False)), build=build)
    for name, function in {
        "rename": lambda: os.rename("f", "/dev/shm/tain-posix-never"), "link": lambda: os.link("f", "/dev/shm/tain-posix-never"),
        "rename in": lambda: os.rename("/dev/null", "new"), "link in": lambda: os.link("/dev/null", "new"),
    }.items():
        r.case(f"{name} between file systems", function, build=build)


GROUPS = {"programs": program_cases, "listings": listing_cases, "large": large_cases, "processes": process_cases, "mappings": mapping_cases, "events": watch_cases}
