# SPDX-License-Identifier: Apache-2.0
"""Every call that takes a path, on every kind of path; every pair of kinds for rename and link."""
import os
import socket
import stat

from world import (AT_EMPTY_PATH, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, EXCHANGE, KINDS, LONG_NAME, NOREPLACE,
                   PATHS, WHITEOUT, attempt, faccessat, fchmodat, linkat, own, put, renameat2, show_path, statx, utimensat)


def opened(path, flags, mode=0o640):
    fd = os.open(path, flags | os.O_NONBLOCK, mode)
    try:
        s = os.fstat(fd)
        return oct(s.st_mode), s.st_nlink
    finally:
        os.close(fd)


def bound(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)


def chdir(path):
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path)
    finally:
        os.fchdir(here)
        os.close(here)


def brief(s):
    return oct(s.st_mode), s.st_nlink, s.st_uid, s.st_gid, s.st_rdev, -1 if stat.S_ISDIR(s.st_mode) else s.st_size


OPERATIONS = {
    "open r": lambda p: opened(p, os.O_RDONLY),
    "open w": lambda p: opened(p, os.O_WRONLY),
    "open rw trunc": lambda p: opened(p, os.O_RDWR | os.O_TRUNC),
    "open r trunc": lambda p: opened(p, os.O_RDONLY | os.O_TRUNC),
    "open creat": lambda p: opened(p, os.O_WRONLY | os.O_CREAT),
    "open r creat": lambda p: opened(p, os.O_RDONLY | os.O_CREAT),
    "open creat excl": lambda p: opened(p, os.O_RDWR | os.O_CREAT | os.O_EXCL),
    "open creat trunc": lambda p: opened(p, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    "open creat nofollow": lambda p: opened(p, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW),
    "open nofollow": lambda p: opened(p, os.O_RDONLY | os.O_NOFOLLOW),
    "open directory": lambda p: opened(p, os.O_RDONLY | os.O_DIRECTORY),
    "open directory nofollow": lambda p: opened(p, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW),
    "open path": lambda p: opened(p, os.O_PATH),
    "open path nofollow": lambda p: opened(p, os.O_PATH | os.O_NOFOLLOW),
    "open tmpfile": lambda p: opened(p, os.O_TMPFILE | os.O_RDWR),
    "open append": lambda p: opened(p, os.O_WRONLY | os.O_APPEND),
    "mkdir": lambda p: os.mkdir(p, 0o750),
    "mkdir all bits": lambda p: os.mkdir(p, 0o7777),
    "mkfifo": lambda p: os.mkfifo(p, 0o640),
    "mknod file": lambda p: os.mknod(p, stat.S_IFREG | 0o4640),
    "mknod socket": lambda p: os.mknod(p, stat.S_IFSOCK | 0o640),
    "mknod char": lambda p: os.mknod(p, stat.S_IFCHR | 0o640, os.makedev(5, 300)),
    "mknod block": lambda p: os.mknod(p, stat.S_IFBLK | 0o640, os.makedev(4000, 70000)),
    "mknod directory": lambda p: os.mknod(p, stat.S_IFDIR | 0o755),
    "bind": bound,
    "symlink": lambda p: os.symlink("target", p),
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "chmod": lambda p: os.chmod(p, 0o6711),
    "fchmodat nofollow": lambda p: fchmodat(p, 0o600, AT_SYMLINK_NOFOLLOW),
    "chown": lambda p: os.chown(p, 20005, 20006),
    "chown -1": lambda p: os.chown(p, -1, -1),
    "lchown": lambda p: os.lchown(p, 20005, 20006),
    "truncate 0": lambda p: os.truncate(p, 0),
    "truncate 100": lambda p: os.truncate(p, 100),
    "truncate -1": lambda p: os.truncate(p, -1),
    "utimensat null": lambda p: utimensat(p, None, None),
    "utimensat nofollow": lambda p: utimensat(p, (1, 2), (3, 4), AT_SYMLINK_NOFOLLOW),
    "utimensat follow": lambda p: utimensat(p, (1, 2), (3, 4)),
    "access exists": lambda p: faccessat(p, os.F_OK, 0),
    "access rwx": lambda p: faccessat(p, 7, 0),
    "access nofollow": lambda p: faccessat(p, os.R_OK, AT_SYMLINK_NOFOLLOW),
    "access bad mode": lambda p: faccessat(p, 64, 0),
    "readlink": os.readlink,
    "stat": lambda p: brief(os.stat(p)),
    "lstat": lambda p: brief(os.lstat(p)),
    "statx empty path": lambda p: oct(statx(p, AT_EMPTY_PATH).mode),
    "statfs": lambda p: os.statvfs(p).f_namemax,
    "chdir": chdir,
    "listdir": lambda p: sorted(os.listdir(p))[:5],
    "setxattr": lambda p: os.setxattr(p, "user.t", b"v"),
    "lsetxattr": lambda p: os.setxattr(p, "user.t", b"v", follow_symlinks=False),
    "lsetxattr trusted": lambda p: os.setxattr(p, "trusted.t", b"v", follow_symlinks=False),
    "getxattr": lambda p: os.getxattr(p, "user.none"),
    "lgetxattr trusted": lambda p: os.getxattr(p, "trusted.none", follow_symlinks=False),
    "listxattr": lambda p: sorted(os.listxattr(p)),
    "llistxattr": lambda p: sorted(os.listxattr(p, follow_symlinks=False)),
    "removexattr": lambda p: os.removexattr(p, "user.none"),
    "rename from": lambda p: os.rename(p, "new"),
    "rename from to below": lambda p: os.rename(p, "empty/new"),
    "rename from to slash": lambda p: os.rename(p, "new/"),
    "rename file to": lambda p: os.rename("reg", p),
    "rename directory to": lambda p: os.rename("dir", p),
    "rename missing to": lambda p: os.rename("missing", p),
    "noreplace from": lambda p: renameat2(p, "new", NOREPLACE),
    "noreplace to": lambda p: renameat2("reg", p, NOREPLACE),
    "exchange from": lambda p: renameat2(p, "dir/f", EXCHANGE),
    "link from": lambda p: os.link(p, "new", follow_symlinks=False),
    "link from follow": lambda p: linkat(p, "new", AT_SYMLINK_FOLLOW),
    "link to": lambda p: os.link("reg", p),
    "link directory to": lambda p: os.link("dir", p),
}


def path_cases(r):
    for name, operation in OPERATIONS.items():
        for path in PATHS:
            if path == "/" * 4095 and name not in ("stat", "lstat"):
                continue  # that is the root of the system
            r.case(f"{name} '{show_path(path)}'", operation, path)


def rename_cases(r):
    """Every kind over every kind, with every flag."""
    def build():
        from world import one_of_everything
        one_of_everything()
        os.mkdir("dir/sub/deep")
        put("dir/g")
        os.mkdir("full")
        put("full/x")
        own("full")
    extra = ["full", "dir/sub", "dir/sub/deep", "dir/f", "missing", ".", "dir/..", "empty/", "missing/"]
    flags = {0: "", NOREPLACE: " noreplace", EXCHANGE: " exchange", WHITEOUT: " whiteout", NOREPLACE | EXCHANGE: " both",
             WHITEOUT | NOREPLACE: " whiteout noreplace", WHITEOUT | EXCHANGE: " whiteout exchange", 8: " unknown"}
    for flag, shown in flags.items():
        few = flag > EXCHANGE
        for source in KINDS + extra:
            for target in (["reg", "empty", "missing", "to_reg"] if few else KINDS + extra):
                r.case(f"rename{shown} {source} over {target}", renameat2, source, target, flag, build=build)


def link_cases(r):
    for source in KINDS:
        for flags, shown in ((0, ""), (AT_SYMLINK_FOLLOW, " follow"), (1, " bad flag"), (AT_EMPTY_PATH, " empty path")):
            for target in ("new", "empty/new", "reg", "dir", "to_nothing", "missing/x", "reg/x", "new/"):
                r.case(f"linkat{shown} {source} {target}", linkat, source, target, flags)
    for source in KINDS:  # a second name is the same thing in every respect

        def chain(source=source):
            os.link(source, "second", follow_symlinks=False)
            os.rename("second", "empty/third")
            seen = os.lstat(source).st_ino == os.lstat("empty/third").st_ino
            os.unlink(source)
            return seen, brief(os.lstat("empty/third"))
        r.case(f"link, rename, unlink {source}", chain)


def special_cases(r):
    """Long chains of links, deep folders, long paths and odd bytes in names."""
    def chain(length):
        def build():
            put("end", b"end")
            for i in range(length):
                os.symlink(f"l{i - 1}" if i else "end", f"l{i}")
        return build
    for length in (1, 8, 39, 40, 41, 42):
        r.case(f"open at the end of {length} links", lambda n=length: opened(f"l{n - 1}", os.O_RDONLY), build=chain(length))
        r.case(f"lstat of link {length}", lambda n=length: brief(os.lstat(f"l{n - 1}")), build=chain(length))

    def deep():
        here = os.open(".", os.O_RDONLY)
        results = []
        for i in range(20):
            results.append(attempt(os.mkdir, LONG_NAME))
            os.chdir(LONG_NAME)
        results.append(attempt(os.getcwd)[:5])
        put("bottom", b"x")
        for i in range(20):
            os.chdir("..")
        results.append(sorted(os.listdir("."))[:1] == [LONG_NAME])
        results.append(attempt(lambda: brief(os.stat("/".join([LONG_NAME] * 15)))))
        os.fchdir(here)
        os.close(here)
        return results
    r.case("folders deeper than a path", deep, build=None)

    def all_bytes():
        names = [bytes([b]) + b"x" for b in range(1, 256) if b != 0x2f]
        for name in names:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
        return sorted(os.listdir(b".")) == sorted(names), [n for n in names if not os.path.exists(n)]
    r.case("every byte in a name", all_bytes, build=None)

    def lengths():
        for n in range(1, 256):
            os.mkdir("d" * n)
        return sorted(len(n) for n in os.listdir(".")) == list(range(1, 256)), os.stat(".").st_nlink
    r.case("names of every length", lengths, build=None)
    for length in (1, 59, 60, 61, 255, 1023, 1024, 4094, 4095, 4096):
        r.case(f"symlink of {length} bytes", lambda n=length: (os.symlink("s" * n, "s"), len(os.readlink("s")), os.lstat("s").st_size), build=None)
    for size in (1, 3, 100):
        def short(size=size):
            import ctypes
            from world import LIBC, call
            os.symlink("12345678", "s")
            buffer = ctypes.create_string_buffer(200)
            return call(LIBC.readlink(b"s", buffer, size)), buffer.value
        r.case(f"readlink into {size} bytes", short, build=None)


GROUPS = {"paths": path_cases, "rename": rename_cases, "link": link_cases, "special": special_cases}
