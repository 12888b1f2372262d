# SPDX-License-Identifier: Apache-2.0
"""Times and extended attributes: which call changes which time, which values are kept, which attributes whoever may have."""
import functools
import os
import time

from world import (ANYONE, AT_SYMLINK_NOFOLLOW, IS_ROOT, KINDS, UTIME_NOW, UTIME_OMIT, call, fallocate, get, one_of_everything, own, put, utimensat, with_file, write_mapped,
                   EXCHANGE, LIBC, renameat2, statx)

NOW, OMIT = (0, UTIME_NOW), (0, UTIME_OMIT)
OLD = 1_000_000_000  # seconds: long before any run


def value_cases(r):
    """Times that are set come back, before 1970 and after 2038 too; ones that make no sense are refused."""
    seconds = (0, 1, -1, -1_000_000_000, -(1 << 31), -(1 << 31) - 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 4_294_967_297, 10_000_000_000, 15_032_385_535,
               15_032_385_536, 1 << 40, -(1 << 40))
    def show(path):
        s = os.lstat(path)
        return s.st_atime_ns, s.st_mtime_ns
    for s in seconds:
        for ns in (0, 1, 999_999_999, 123_456_789):
            for path in ("reg", "dir", "to_reg"):
                r.case(f"set times of {path} to {s}.{ns}", lambda p=path, t=(s, ns): (utimensat(p, t, t, AT_SYMLINK_NOFOLLOW), show(p))[1])
    for ns in (-1, 1_000_000_000, 1 << 30, (1 << 30) - 3):
        r.case(f"nanoseconds {ns}", utimensat, "reg", (1, ns), (1, 1))
        r.case(f"nanoseconds {ns} second", utimensat, "reg", (1, 1), (1, ns))
        r.case(f"nanoseconds {ns} omitted", utimensat, "reg", OMIT, (1, ns))
    r.case("bad flag", utimensat, "reg", (1, 1), (1, 1), 0x1)
    for path in KINDS:
        for a, b in ((NOW, OMIT), (OMIT, NOW), (OMIT, OMIT), (NOW, NOW), ((5, 5), OMIT), (OMIT, (6, 6)), (NOW, (6, 6)), ((5, 5), NOW), (None, None)):
            def around(path):
                s = os.lstat(path)
                return ["now" if t > 10**18 else t for t in (s.st_atime_ns, s.st_mtime_ns)]
            if path in ("to_nothing",):
                continue
            def variant(path=path, a=a, b=b):
                utimensat(path, (OLD // 2, 0), (OLD // 2, 0), AT_SYMLINK_NOFOLLOW)  # here: looking at the tree reads it
                utimensat(path, a, b, AT_SYMLINK_NOFOLLOW)
                return around(path)
            r.case(f"times of {path} {a} {b}", variant)


def reading_cases(r):
    """atime: what changes it under relatime, when the bytes are not in the kernel's cache yet."""
    def with_times(path, atime, mtime):
        return lambda: utimensat(path, (atime, 0), (mtime, 0), AT_SYMLINK_NOFOLLOW)

    def read_dir():
        os.listdir("dir")

    def changed(path):
        def look():
            return "atime now" if os.lstat(path).st_atime > OLD + 100 else "atime kept"
        return look
    for path, read in {"dir": read_dir, "to_reg": lambda: os.readlink("to_reg"), "reg": lambda: get("reg"), "fifo": lambda: bool(os.stat("fifo"))}.items():
        for label, atime, mtime in (("older than mtime", OLD, OLD + 10), ("equal to mtime", OLD, OLD), ("newer but a day old", OLD, OLD - 10)):
            def cold(path=path, atime=atime, mtime=mtime):
                utimensat(path, (atime, 0), (mtime, 0), AT_SYMLINK_NOFOLLOW)
            r.case(f"reading {path}, atime {label}", lambda cold=cold, read=read, path=path: (cold(), read(), changed(path)())[2])
    def noatime():
        fd = os.open("reg", os.O_RDONLY | os.O_NOATIME)
        os.read(fd, 10)
        os.close(fd)
    r.case("reading with O_NOATIME", lambda: (with_times("reg", OLD, OLD + 10)(), noatime(), changed("reg")())[2])


def change_cases(r):
    """Which of mtime and ctime a call on a file changes; the snapshot of each case shows it."""
    on_reg = functools.partial(with_file, name="reg")
    operations = {
        "open": on_reg(os.O_RDONLY, lambda fd: None), "open w": on_reg(os.O_WRONLY, lambda fd: None), "open trunc": on_reg(os.O_WRONLY | os.O_TRUNC, lambda fd: None),
        "open creat existing": on_reg(os.O_WRONLY | os.O_CREAT, lambda fd: None), "read": on_reg(os.O_RDONLY, lambda fd: os.read(fd, 9)),
        "write": on_reg(os.O_WRONLY, lambda fd: os.write(fd, b"ab")), "write 0": on_reg(os.O_WRONLY, lambda fd: os.write(fd, b"")),
        "ftruncate same": on_reg(os.O_WRONLY, lambda fd: os.ftruncate(fd, 6)), "ftruncate": on_reg(os.O_WRONLY, lambda fd: os.ftruncate(fd, 3)),
        "truncate same": lambda: os.truncate("reg", 6), "truncate": lambda: os.truncate("reg", 9), "truncate empty": lambda: (put("e"), os.truncate("e", 0)),
        "open trunc empty": lambda: os.close(os.open("z", os.O_WRONLY | os.O_TRUNC)), "mmap write": on_reg(os.O_RDWR, write_mapped),
        "fallocate": on_reg(os.O_WRONLY, lambda fd: fallocate(fd, 0, 0, 100)), "fallocate inside": on_reg(os.O_WRONLY, lambda fd: fallocate(fd, 0, 0, 3)),
        "punch": on_reg(os.O_WRONLY, lambda fd: fallocate(fd, 3, 0, 3)), "punch past the end": on_reg(os.O_WRONLY, lambda fd: fallocate(fd, 3, 100, 3)),
        "zero": on_reg(os.O_WRONLY, lambda fd: fallocate(fd, 16, 0, 3)), "fsync": on_reg(os.O_WRONLY, os.fsync),
        "chmod same": lambda: os.chmod("reg", 0o644), "chown same": lambda: os.chown("reg", os.stat("reg").st_uid, os.stat("reg").st_gid),
        "setxattr": lambda: os.setxattr("reg", "user.a", b"b"), "removexattr missing": lambda: os.removexattr("reg", "user.b"),
        "setxattr, removexattr": lambda: (os.setxattr("reg", "user.a", b"b"), os.removexattr("reg", "user.a")),
        "link": lambda: os.link("reg", "dir/second"), "unlink": lambda: os.unlink("hard"), "rename": lambda: os.rename("reg", "dir/moved"),
        "rename folder": lambda: os.rename("empty", "dir/moved"), "rename over": lambda: os.rename("reg", "dir/f"), "rename same": lambda: os.rename("reg", "hard"),
        "exchange": lambda: renameat2("reg", "dir/f", EXCHANGE), "exchange folders": lambda: renameat2("empty", "dir/sub", EXCHANGE), "exchange both": lambda: renameat2("reg", "dir/sub", EXCHANGE),
        "mkdir": lambda: os.mkdir("dir/new"), "rmdir": lambda: os.rmdir("dir/sub"), "mknod": lambda: os.mknod("dir/new"), "symlink": lambda: os.symlink("a", "dir/new"),
        "failed mkdir": lambda: os.mkdir("dir"), "failed unlink": lambda: os.unlink("missing"), "failed rmdir": lambda: os.rmdir("dir"), "failed rename": lambda: os.rename("missing", "reg"),
        "chmod link": lambda: os.chmod("to_reg", 0o600), "fifo write": lambda: fifo(),
        "copy_file_range": lambda: copy(), "copy nothing": lambda: copy(0), "utimes omit": lambda: utimensat("reg", OMIT, OMIT),
        "setxattr same": lambda: (os.setxattr("reg", "user.a", b"b"), os.setxattr("reg", "user.a", b"b")), "set acl of mode": lambda: os.setxattr("reg", "system.posix_acl_access", ACL_0640),
    }
    ACL_0640 = bytes.fromhex("02000000" "01000600ffffffff" "04000400ffffffff" "20000000ffffffff")

    def fifo():
        fd = os.open("fifo", os.O_RDWR | os.O_NONBLOCK)
        os.write(fd, b"x")
        os.read(fd, 1)
        os.close(fd)

    def copy(length=3):
        a, b = os.open("dir/f", os.O_RDONLY), os.open("reg", os.O_WRONLY)
        os.copy_file_range(a, b, length)
        os.close(a)
        os.close(b)

    def build():
        one_of_everything()
        put("z")
    for name, operation in operations.items():
        r.case(f"times after {name}", operation, build=build)

    def fresh_times():
        before = time.clock_gettime_ns(5)
        put("new")
        after = time.time_ns()
        s = os.stat("new")
        parent = os.stat(".").st_mtime_ns
        return before <= s.st_atime_ns <= after, s.st_atime_ns == s.st_mtime_ns == s.st_ctime_ns, before <= parent <= after
    r.case("times of a new file", fresh_times)

    def birth():
        out = statx("reg", 0)
        return hex(out.mask & 0xfff)
    r.case("statx knows", birth)


def xattr_cases(r):
    """Name spaces, sizes and flags, on every kind of entry, for everyone."""
    names = ["user.a", "user.", "user", "trusted.a", "trusted.", "security.a", "security.", "security.capability", "system.a", "system.posix_acl_access", "system.posix_acl_default",
             "system.", "other.a", "", ".", "a", "user.a\nb", "user." + "n" * 250, "user." + "n" * 251, "n" * 300, "USER.a"]
    for path in KINDS:
        if path == "to_nothing":
            continue
        for name in names:
            shown = name if len(name) < 40 else f"{name[:6]}…{len(name)}"
            r.case(f"setxattr {path} '{shown}'", os.setxattr, path, name, b"value", follow_symlinks=False)
            r.case(f"getxattr {path} '{shown}'", os.getxattr, path, name, follow_symlinks=False)
            r.case(f"removexattr {path} '{shown}'", os.removexattr, path, name, follow_symlinks=False)

    def build():
        put("f")
        own("f")
        os.setxattr("f", "user.there", b"old")

    def show():
        return [(n, len(os.getxattr("f", n)), os.getxattr("f", n)[:8]) for n in sorted(os.listxattr("f"))]
    for flags in (0, os.XATTR_CREATE, os.XATTR_REPLACE, 3, 4):
        for name in ("user.there", "user.new"):
            r.case(f"setxattr {name} flags {flags}", os.setxattr, "f", name, b"new", flags, build=build, after=show)
    for size in (0, 1, 100, 1000, 3000, 65536, 65537):
        r.case(f"setxattr of {size} bytes", os.setxattr, "f", "user.there", b"v" * size, build=build, after=show)
    import ctypes
    for room in (0, 1, 2, 3, 4, 100):
        def small(room=room):
            return call(LIBC.getxattr(b"f", b"user.there", ctypes.create_string_buffer(200), room))

        def small_list(room=room):
            return call(LIBC.listxattr(b"f", ctypes.create_string_buffer(200), room * 4))
        r.case(f"getxattr into {room}", small, build=build)
        r.case(f"listxattr into {room * 4}", small_list, build=build)

    def many():
        for i in range(100):
            os.setxattr("f", f"user.{i}", str(i).encode())
        for i in range(0, 100, 2):
            os.removexattr("f", f"user.{i}")
        return sorted(os.listxattr("f"))[:3], len(os.listxattr("f")), os.getxattr("f", "user.51")
    r.case("a hundred attributes", many, build=build)
    if IS_ROOT:
        for mode, sticky in ((0o644, False), (0o1777, True)):
            def folder(mode=mode):
                os.mkdir("f")
                own("f")
                os.chmod("f", mode | 0o111)
                os.setxattr("f", "trusted.there", b"x")
                os.setxattr("f", "security.there", b"x")
            for who in ANYONE:
                for call_name, operation in {
                    "list": lambda: sorted(os.listxattr("f")), "get trusted": lambda: os.getxattr("f", "trusted.there"), "get security": lambda: os.getxattr("f", "security.there"),
                    "set user": lambda: os.setxattr("f", "user.x", b"y"), "remove trusted": lambda: os.removexattr("f", "trusted.there"),
                    "remove security": lambda: os.removexattr("f", "security.there"), "set capability": lambda: os.setxattr("f", "security.capability", b"x" * 20),
                }.items():
                    r.case(f"{call_name} xattr of folder {mode:04o}", operation, build=folder, who=who)


GROUPS = {"time_values": value_cases, "reading": reading_cases, "changes": change_cases, "xattrs": xattr_cases}
