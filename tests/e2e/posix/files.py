# SPDX-License-Identifier: Apache-2.0
"""Descriptors and content: open flags, offsets, sizes, holes, copies, locks, what still works on an unlinked file."""
import ctypes
import fcntl
import itertools
import mmap
import os
import resource
import signal
import stat
import struct

from paths import brief
from world import (AT_EMPTY_PATH, AT_SYMLINK_FOLLOW, LIBC, attempt, call, fallocate, get, linkat, put, statx, utimensat, with_file)

MIB = 1 << 20


def flag_cases(r):
    """Every set of open flags on every kind of entry, and what can then be read, written and asked."""
    access = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR, "both": 3}
    others = {"creat": os.O_CREAT, "excl": os.O_EXCL, "trunc": os.O_TRUNC, "append": os.O_APPEND, "nofollow": os.O_NOFOLLOW,
              "directory": os.O_DIRECTORY, "path": os.O_PATH, "sync": os.O_SYNC}
    mask = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_PATH | os.O_SYNC
    sets = [c for n in range(4) for c in itertools.combinations(others, n)]

    def use(path, flags):
        fd = os.open(path, flags | os.O_NONBLOCK, 0o640)
        try:
            s = os.fstat(fd)
            out = [oct(fcntl.fcntl(fd, fcntl.F_GETFL) & mask), oct(s.st_mode), s.st_nlink]
            if stat.S_ISREG(s.st_mode):
                out += [attempt(os.read, fd, 3), attempt(os.write, fd, b"ab"), os.lseek(fd, 0, os.SEEK_CUR) if not flags & os.O_PATH else "",
                        attempt(os.ftruncate, fd, 4), attempt(os.fsync, fd), attempt(os.fchmod, fd, 0o600)]
            elif stat.S_ISDIR(s.st_mode):
                out += [attempt(os.read, fd, 3), attempt(os.write, fd, b"ab"), attempt(os.ftruncate, fd, 0), attempt(os.fsync, fd),
                        attempt(fallocate, fd, 0, 0, 1)]
            return out
        finally:
            os.close(fd)
    for path in ("reg", "dir", "fifo", "sock", "to_reg", "to_dir", "to_nothing", "missing", "loop"):
        for mode, bits in access.items():
            for chosen in sets:
                r.case(f"open {path} {mode} {' '.join(chosen)}", use, path, sum((others[c] for c in chosen), bits))


def descriptor_cases(r):
    """Calls on descriptors of every kind, O_PATH ones too."""
    operations = {
        "fstat": lambda fd: brief(os.fstat(fd)), "fchmod": lambda fd: os.fchmod(fd, 0o611), "fchown": lambda fd: os.fchown(fd, 20005, 20006),
        "ftruncate": lambda fd: os.ftruncate(fd, 2), "fsync": os.fsync, "fdatasync": os.fdatasync, "futimens": lambda fd: os.utime(fd, ns=(1, 2)),
        "read": lambda fd: os.read(fd, 4), "pread": lambda fd: os.pread(fd, 4, 2), "pread -1": lambda fd: os.pread(fd, 4, -1),
        "write": lambda fd: os.write(fd, b"xy"), "pwrite": lambda fd: os.pwrite(fd, b"xy", 3), "pwrite -1": lambda fd: os.pwrite(fd, b"xy", -1),
        "lseek": lambda fd: os.lseek(fd, 3, os.SEEK_SET), "lseek -1": lambda fd: os.lseek(fd, -1, os.SEEK_SET),
        "lseek end": lambda fd: os.lseek(fd, 0, os.SEEK_END) >= 0, "lseek bad": lambda fd: os.lseek(fd, 0, 9),
        "lseek data": lambda fd: os.lseek(fd, 0, os.SEEK_DATA), "lseek hole": lambda fd: os.lseek(fd, 0, os.SEEK_HOLE) > 0,
        "fsetxattr": lambda fd: os.setxattr(fd, "user.t", b"v"), "fgetxattr": lambda fd: os.getxattr(fd, "user.t"), "flistxattr": os.listxattr,
        "fremovexattr": lambda fd: os.removexattr(fd, "user.t"), "fallocate": lambda fd: fallocate(fd, 0, 0, 10),
        "posix_fallocate": lambda fd: os.posix_fallocate(fd, 0, 10), "fadvise": lambda fd: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED),
        "listdir": lambda fd: sorted(os.listdir(fd))[:3], "fchdir": os.fchdir, "fstatfs": lambda fd: os.fstatvfs(fd).f_namemax,
        "flock": lambda fd: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB), "lockf": lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
        "lockf sh": lambda fd: fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB), "sync_file_range": lambda fd: call(LIBC.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), 2)),
        "syncfs": lambda fd: call(LIBC.syncfs(fd)), "statx": lambda fd: oct(statx("", AT_EMPTY_PATH, at=fd).mode),
        "utimensat empty": lambda fd: utimensat("", (1, 1), (2, 2), AT_EMPTY_PATH, at=fd), "utimensat none": lambda fd: call(LIBC.utimensat(fd, None, None, 0)),
        "link proc": lambda fd: linkat(f"/proc/self/fd/{fd}", "new", AT_SYMLINK_FOLLOW), "link empty": lambda fd: linkat("", "new", AT_EMPTY_PATH, at=fd),
        "chmod proc": lambda fd: os.chmod(f"/proc/self/fd/{fd}", 0o611), "open proc": lambda fd: os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_NONBLOCK)),
        "readlink empty": lambda fd: os.readlink(b"", dir_fd=fd), "mkdirat": lambda fd: os.mkdir("below", dir_fd=fd),
        "mmap": lambda fd: mmap.mmap(fd, 4, prot=mmap.PROT_READ)[:3], "mmap w": lambda fd: mmap.mmap(fd, 4)[:3], "sendfile": lambda fd: os.sendfile(fd, fd, 0, 1),
        "leases": lambda fd: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK), "readahead": lambda fd: call(LIBC.readahead(fd, ctypes.c_int64(0), 10)),
    }
    kinds = {"reg": os.O_RDWR, "reg r": os.O_RDONLY, "reg w": os.O_WRONLY, "reg a": os.O_RDWR | os.O_APPEND, "dir": os.O_RDONLY,
             "fifo": os.O_RDWR, "reg path": os.O_PATH, "dir path": os.O_PATH, "to_reg path": os.O_PATH | os.O_NOFOLLOW, "sock path": os.O_PATH,
             "fifo path": os.O_PATH}

    def run(path, flags, operation):
        fd = os.open(path, flags | os.O_NONBLOCK)
        here = os.open(".", os.O_RDONLY)
        try:
            return operation(fd)
        finally:
            os.fchdir(here)
            os.close(here)
            os.close(fd)
    for kind, flags in kinds.items():
        for name, operation in operations.items():
            r.case(f"{name} on {kind}", run, kind.split()[0], flags, operation)


def unlinked_cases(r):
    """An open file, folder or FIFO whose last name is gone."""
    operations = {
        "fstat": lambda fd: os.fstat(fd).st_nlink, "write": lambda fd: (os.write(fd, b"more"), os.pread(fd, 20, 0), os.fstat(fd).st_size),
        "ftruncate": lambda fd: (os.ftruncate(fd, 2), os.pread(fd, 9, 0)), "fchmod": lambda fd: (os.fchmod(fd, 0o600), oct(os.fstat(fd).st_mode)),
        "fchown": lambda fd: (os.fchown(fd, -1, os.fstat(fd).st_gid), os.fstat(fd).st_nlink), "futimens": lambda fd: (os.utime(fd, ns=(5, 6)), os.fstat(fd).st_mtime_ns),
        "fsetxattr": lambda fd: (os.setxattr(fd, "user.a", b"b"), os.getxattr(fd, "user.a"), os.listxattr(fd)),
        "fsync": os.fsync, "link": lambda fd: linkat(f"/proc/self/fd/{fd}", "again", AT_SYMLINK_FOLLOW),
        "reopen": lambda fd: get(f"/proc/self/fd/{fd}"), "allocate": lambda fd: (fallocate(fd, 0, 0, 99), os.fstat(fd).st_size),
        "mmap": lambda fd: mmap.mmap(fd, 5, prot=mmap.PROT_READ)[:], "name again": lambda fd: (put("f", b"other"), os.pread(fd, 9, 0), os.fstat(fd).st_nlink),
    }
    for how in ("unlink", "rename over"):
        for name, operation in operations.items():
            def run(operation=operation, how=how):
                fd = os.open("f", os.O_RDWR)
                try:
                    if how == "unlink":
                        os.unlink("f")
                    else:
                        os.rename("g", "f")
                    return operation(fd)
                finally:
                    os.close(fd)
            r.case(f"{name} after {how}", run, build=lambda: (put("f", b"hello"), put("g", b"gg")))

    def in_removed(operation):
        def run():
            os.mkdir("d")
            here = os.open(".", os.O_RDONLY)
            os.chdir("d")
            try:
                os.rmdir("../d")
                return operation()
            finally:
                os.fchdir(here)
                os.close(here)
        return run
    for name, operation in {
        "create": lambda: put("x"), "mkdir": lambda: os.mkdir("x"), "stat .": lambda: os.stat(".").st_nlink, "list": lambda: os.listdir("."),
        "stat ..": lambda: os.stat("..").st_nlink, "symlink": lambda: os.symlink("a", "b"), "rename into": lambda: os.rename("../g", "g"),
        "link into": lambda: os.link("../g", "g"), "chmod": lambda: (os.chmod(".", 0o700), oct(os.stat(".").st_mode)), "getcwd": os.getcwd,
        "setxattr": lambda: os.setxattr(".", "user.a", b"b"), "tmpfile": lambda: os.close(os.open(".", os.O_TMPFILE | os.O_RDWR)),
        "again": lambda: (os.mkdir("../d"), attempt(put, "x")), "lookup": lambda: os.stat("x"), "fsync": lambda: os.fsync(os.open(".", os.O_RDONLY | os.O_CLOEXEC)),
    }.items():
        r.case(f"{name} in a removed folder", in_removed(operation), build=lambda: put("g", b"gg"))

    def tmpfile():
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640)
        os.write(fd, b"content")
        out = [os.fstat(fd).st_nlink, oct(os.fstat(fd).st_mode), os.listdir(".")]
        linkat(f"/proc/self/fd/{fd}", "named", AT_SYMLINK_FOLLOW)
        out += [os.fstat(fd).st_nlink, get("named"), attempt(linkat, f"/proc/self/fd/{fd}", "named", AT_SYMLINK_FOLLOW)]
        os.close(fd)
        return out + [get("named"), os.stat("named").st_nlink]
    r.case("a file without a name gets one", tmpfile, build=None)

    def tmpfile_excl():
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o640)
        return os.write(fd, b"content"), os.pread(fd, 9, 0), attempt(linkat, f"/proc/self/fd/{fd}", "named", AT_SYMLINK_FOLLOW), os.close(fd)
    r.case("a file that never gets a name", tmpfile_excl, build=None)


def size_cases(r):
    """Sizes: truncate and write at the edges, limits of the process, append."""
    def build():
        put("f", b"0123456789" * 20_000)

    def digest():
        import hashlib
        return os.stat("f").st_size, hashlib.sha256(get("f")).hexdigest()[:12]
    edges = (0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 199_999, 200_000, 200_001, 262_144, 300_000)
    for size in edges:
        r.case(f"truncate {size}", os.truncate, "f", size, build=build, after=digest)
        r.case(f"ftruncate {size}", with_file(os.O_WRONLY, lambda fd, n=size: os.ftruncate(fd, n)), build=build, after=digest)
        r.case(f"cut {size} and regrow", lambda n=size: (os.truncate("f", n), os.truncate("f", 200_000)), build=build, after=digest)
        for length in (0, 1, 4096, 70_000):
            r.case(f"pwrite {length} at {size}", with_file(os.O_WRONLY, lambda fd, n=size, m=length: os.pwrite(fd, b"w" * m, n)), build=build, after=digest)
    r.case("ftruncate read only", with_file(os.O_RDONLY, lambda fd: os.ftruncate(fd, 0)), build=build)
    r.case("ftruncate -1", with_file(os.O_WRONLY, lambda fd: os.ftruncate(fd, -1)), build=build)
    r.case("write and append", with_file(os.O_WRONLY | os.O_APPEND, lambda fd: (os.lseek(fd, 5, 0), os.write(fd, b"end"), os.lseek(fd, 0, 1))), build=build, after=digest)
    r.case("pwrite on append", with_file(os.O_WRONLY | os.O_APPEND, lambda fd: os.pwrite(fd, b"end", 3)), build=build, after=digest)
    r.case("read past end", with_file(os.O_RDONLY, lambda fd: (os.pread(fd, 10, 199_995), os.pread(fd, 10, 200_000), os.pread(fd, 10, 1 << 40))), build=build)
    r.case("write nothing past end", with_file(os.O_WRONLY, lambda fd: os.pwrite(fd, b"", 1 << 30)), build=build)
    r.case("write at the largest offset", with_file(os.O_WRONLY, lambda fd: os.pwrite(fd, b"xx", (1 << 63) - 1)), build=build)
    r.case("lseek to the largest offset", with_file(os.O_WRONLY, lambda fd: os.lseek(fd, (1 << 63) - 1, 0)), build=build)
    r.case("truncate to the largest size", os.truncate, "f", (1 << 63) - 1, build=build)

    def limited(function):
        def run():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_005, hard))
            try:
                return function()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return run
    for name, function in {
        "truncate": lambda: os.truncate("f", 200_006), "truncate to it": lambda: os.truncate("f", 200_005),
        "write across": with_file(os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, b"0123456789")),
        "write past": with_file(os.O_WRONLY, lambda fd: os.pwrite(fd, b"0123456789", 200_005)),
        "fallocate": with_file(os.O_WRONLY, lambda fd: fallocate(fd, 0, 0, 300_000)),
    }.items():
        r.case(f"{name} the limit of the process", limited(function), build=build, after=digest)

    def vectors():
        fd = os.open("f", os.O_RDWR)
        a, b = bytearray(3), bytearray(70_000)
        out = os.writev(fd, [b"ab", b"", b"c" * 70_000]), os.lseek(fd, 0, 0), os.readv(fd, [a, b]), bytes(a), bytes(b[-3:])
        os.close(fd)
        return out
    r.case("vectors", vectors, build=build, after=digest)

    def direct():
        fd = os.open("f", os.O_RDWR | os.O_DIRECT)
        page = mmap.mmap(-1, 8192)
        page[:4096] = b"D" * 4096
        out = call(LIBC.pwrite(fd, ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page))), 4096, ctypes.c_int64(4096))), os.fstat(fd).st_size
        got = call(LIBC.pread(fd, ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page, 4096))), 4096, ctypes.c_int64(4096)))
        os.close(fd)
        return out, got, page[4096:4100], get("f")[4090:4100]
    r.case("direct I/O of whole pages", direct, build=build, after=digest)


def allocate_cases(r):
    """fallocate: every mode on every kind of range."""
    import hashlib

    def build():
        put("f", b"0123456789" * 20_000)

    def digest():
        return os.stat("f").st_size, hashlib.sha256(get("f")).hexdigest()[:12]
    names = {1: "keep", 2: "punch", 8: "collapse", 16: "zero", 32: "insert", 64: "unshare", 128: "unknown"}
    modes = [0, 1, 2, 3, 8, 16, 17, 32, 64, 65, 9, 33, 18, 128, 129]
    for mode in modes:
        shown = " ".join(n for b, n in names.items() if mode & b) or "plain"
        for offset, length in ((0, 4096), (1, 10), (65536, 65536), (65530, 20), (0, 200_000), (150_000, 100_000), (200_000, 10), (300_000, 5), (0, 0), (-1, 5),
                               (5, -1), (1 << 62, 1 << 62), (4096, 4096)):
            r.case(f"fallocate {shown} {offset}+{length}", with_file(os.O_RDWR, lambda fd, m=mode, o=offset, n=length: fallocate(fd, m, o, n)), build=build, after=digest)
        r.case(f"fallocate {shown} read only", with_file(os.O_RDONLY, lambda fd, m=mode: fallocate(fd, m, 0, 10)), build=build)
        r.case(f"fallocate {shown} append", with_file(os.O_WRONLY | os.O_APPEND, lambda fd, m=mode: fallocate(fd, m, 0, 4096)), build=build, after=digest)


def hole_cases(r):
    """SEEK_HOLE and SEEK_DATA on files whose holes are whole mebibytes."""
    layouts = {"data": [1], "hole": [0], "dh": [1, 0], "hd": [0, 1], "dhd": [1, 0, 1], "hdh": [0, 1, 0], "hhdhhd": [0, 0, 1, 0, 0, 1], "empty": []}
    for name, layout in layouts.items():
        def build(layout=layout):
            fd = os.open("f", os.O_CREAT | os.O_WRONLY)
            for i, data in enumerate(layout):
                if data:
                    os.pwrite(fd, b"d" * MIB, i * MIB)
            os.ftruncate(fd, len(layout) * MIB)
            os.close(fd)
        for synced in (False, True):
            def walk(synced=synced):
                fd = os.open("f", os.O_RDONLY)
                if synced:
                    os.fsync(fd)
                out = []
                for i in range(len(layout) + 1):
                    for offset in (i * MIB, i * MIB + 5, i * MIB + MIB - 1):
                        out.append((offset, attempt(os.lseek, fd, offset, os.SEEK_DATA), attempt(os.lseek, fd, offset, os.SEEK_HOLE)))
                os.close(fd)
                import hashlib
                return hashlib.sha256(repr(out).encode()).hexdigest()[:8], [o[1:] for o in out[:4]]
            r.case(f"seek {name}{' synced' if synced else ''}", walk, build=build)

    def punched():
        put("f", b"d" * (4 * MIB))
        fd = os.open("f", os.O_RDWR)
        fallocate(fd, 3, MIB, 2 * MIB)
        return [os.lseek(fd, a, b) for a, b in ((0, os.SEEK_HOLE), (MIB, os.SEEK_DATA), (3 * MIB, os.SEEK_HOLE), (2 * MIB, os.SEEK_HOLE))], os.close(fd)
    r.case("seek in a punched file", punched, build=None)


def copy_cases(r):
    """copy_file_range between every kind of descriptor, within one file, past the end."""
    def build():
        put("a", b"A" * 100_000)
        put("b", b"B" * 50_000)
        os.mkdir("d")
        os.mkfifo("p")

    def digest():
        import hashlib
        return [(n, os.stat(n).st_size, hashlib.sha256(get(n)).hexdigest()[:8]) for n in ("a", "b")]

    def copy(source, target, length, from_offset=None, to_offset=None, source_flags=os.O_RDONLY, target_flags=os.O_WRONLY, flags=0):
        a = os.open(source, source_flags | os.O_NONBLOCK)
        b = os.open(target, target_flags | os.O_NONBLOCK)
        try:
            first = None if from_offset is None else ctypes.byref(ctypes.c_int64(from_offset))
            second = None if to_offset is None else ctypes.byref(ctypes.c_int64(to_offset))
            return call(LIBC.copy_file_range(a, first, b, second, ctypes.c_size_t(length), flags)), os.lseek(a, 0, 1), os.lseek(b, 0, 1)
        finally:
            os.close(a)
            os.close(b)
    table = [("a", "b", 10), ("a", "b", 0), ("a", "b", 1 << 40), ("a", "b", 100_000, 5, 7), ("a", "b", 10, 99_995, 0), ("a", "b", 10, 100_000, 0),
             ("a", "b", 10, 200_000, 0), ("a", "b", 10, 0, 60_000), ("a", "b", 10, -1, 0), ("a", "b", 10, 0, -1), ("a", "a", 10, 0, 50), ("a", "a", 100, 0, 50),
             ("a", "a", 50, 0, 50), ("a", "a", 100, 50, 0), ("a", "a", 10, 0, 99_995), ("d", "b", 1), ("a", "p", 1, None, None, os.O_RDONLY, os.O_RDWR),
             ("p", "b", 1), ("a", "b", 10, None, None, os.O_WRONLY), ("a", "b", 10, None, None, os.O_RDONLY, os.O_RDONLY),
             ("a", "b", 10, None, None, os.O_RDONLY, os.O_WRONLY | os.O_APPEND), ("a", "b", 10, None, None, os.O_RDONLY, os.O_WRONLY, 1),
             ("a", "b", 10, 0, (1 << 63) - 5), ("a", "b", 70_000, 30_000, 30_001)]
    for row in table:
        r.case(f"copy_file_range {row}", copy, *row, build=build, after=digest)


def lock_cases(r):
    """Locks between processes and descriptors."""
    def in_child(function):
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(into, attempt(function).encode())
            os._exit(0)
        os.close(into)
        with os.fdopen(out) as f:
            text = f.read()
        os.waitpid(pid, 0)
        return text

    def lock(kind, how, start=0, length=0, ofd=False):
        fd = os.open("f", os.O_RDWR)
        command = 37 if ofd else fcntl.F_SETLK  # F_OFD_SETLK
        fcntl.fcntl(fd, command, struct.pack("hhqqi4x", kind, 0, start, length, 0))
        return how
    shapes = [(0, 0), (0, 10), (5, 10), (10, 5), (20, 0)]
    for held in (fcntl.F_RDLCK, fcntl.F_WRLCK):
        for wanted in (fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK):
            for a in shapes:
                for b in shapes:
                    for ofd in (False, True):
                        def run(held=held, wanted=wanted, a=a, b=b, ofd=ofd):
                            lock(held, "", *a, ofd)
                            return in_child(lambda: lock(wanted, "got", *b, ofd))
                        if a <= b:
                            r.case(f"lock {held} {a} against {wanted} {b}{' ofd' if ofd else ''}", run, build=lambda: put("f", b"x" * 30))

    def flocks(first, second):
        a, b = os.open("f", os.O_RDWR), os.open("f", os.O_RDONLY)
        fcntl.flock(a, first)
        out = attempt(fcntl.flock, b, second | fcntl.LOCK_NB), in_child(lambda: fcntl.flock(os.open("f", os.O_RDONLY), second | fcntl.LOCK_NB))
        os.close(a)
        out += (attempt(fcntl.flock, b, second | fcntl.LOCK_NB),)
        os.close(b)
        return out
    for first in (fcntl.LOCK_SH, fcntl.LOCK_EX):
        for second in (fcntl.LOCK_SH, fcntl.LOCK_EX):
            r.case(f"flock {first} against {second}", flocks, first, second, build=lambda: put("f"))

    def getlk():
        fd = os.open("f", os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX, 10, 3)

        def look():
            other = os.open("f", os.O_RDWR)
            kind, whence, start, length, pid = struct.unpack("hhqqi4x", fcntl.fcntl(other, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)))
            return kind, whence, start, length, pid == os.getppid()
        return in_child(look), os.close(fd)
    r.case("who holds a lock", getlk, build=lambda: put("f"))


GROUPS = {"flags": flag_cases, "descriptor_calls": descriptor_cases, "unlinked": unlinked_cases, "sizes": size_cases, "fallocate": allocate_cases,
          "holes": hole_cases, "copy": copy_cases, "locks": lock_cases}
