# SPDX-License-Identifier: Apache-2.0
"""Who may do what: users × modes × calls; sticky and set-group-id folders; what becomes of set-user-id and set-group-id."""
import os
import stat

from paths import brief, opened
from world import (ANYONE, AT_EACCESS, EXCHANGE, GROUP, IS_ROOT, NOREPLACE, OWNER, USERS, UTIME_NOW, UTIME_OMIT, WHITEOUT, faccessat, fallocate, own, put, renameat2, utimensat, with_file, with_umask, write_mapped, LIBC)

NOW, OMIT = (0, UTIME_NOW), (0, UTIME_OMIT)
FILE_OPERATIONS = {
    "open r": lambda p: opened(p, os.O_RDONLY),
    "open w": lambda p: opened(p, os.O_WRONLY),
    "open rw": lambda p: opened(p, os.O_RDWR),
    "open r trunc": lambda p: opened(p, os.O_RDONLY | os.O_TRUNC),
    "open creat": lambda p: opened(p, os.O_RDWR | os.O_CREAT),
    "open creat excl": lambda p: opened(p, os.O_RDWR | os.O_CREAT | os.O_EXCL),
    "open noatime": lambda p: opened(p, os.O_RDONLY | os.O_NOATIME),
    "truncate": lambda p: os.truncate(p, 3),
    "access r": lambda p: faccessat(p, 4, AT_EACCESS),
    "access w": lambda p: faccessat(p, 2, AT_EACCESS),
    "access x": lambda p: faccessat(p, 1, AT_EACCESS),
    "access real": lambda p: os.access(p, 7),
    "chmod": lambda p: os.chmod(p, 0o604),
    "chmod suid": lambda p: os.chmod(p, 0o4755),
    "chmod sgid": lambda p: os.chmod(p, 0o2755),
    "chmod sgid no x": lambda p: os.chmod(p, 0o2644),
    "chmod sticky": lambda p: os.chmod(p, 0o1644),
    "chown uid": lambda p: os.chown(p, 20009, -1),
    "chown own uid": lambda p: os.chown(p, OWNER, -1),
    "chown gid": lambda p: os.chown(p, -1, 20010),
    "chown gid other": lambda p: os.chown(p, -1, 20028),
    "chown gid 19": lambda p: os.chown(p, -1, 20019),
    "chown both same": lambda p: os.chown(p, OWNER, GROUP),
    "chown nothing": lambda p: os.chown(p, -1, -1),
    "utimes null": lambda p: utimensat(p, None, None),
    "utimes now now": lambda p: utimensat(p, NOW, NOW),
    "utimes set": lambda p: utimensat(p, (1000, 1), (2000, 2)),
    "utimes omit omit": lambda p: utimensat(p, OMIT, OMIT),
    "utimes now omit": lambda p: utimensat(p, NOW, OMIT),
    "utimes omit now": lambda p: utimensat(p, OMIT, NOW),
    "utimes set omit": lambda p: utimensat(p, (1000, 1), OMIT),
    "utimes now set": lambda p: utimensat(p, NOW, (5, 5)),
    "setxattr user": lambda p: os.setxattr(p, "user.t", b"v"),
    "getxattr user": lambda p: os.getxattr(p, "user.there"),
    "removexattr user": lambda p: os.removexattr(p, "user.there"),
    "listxattr": lambda p: sorted(os.listxattr(p)),
    "setxattr trusted": lambda p: os.setxattr(p, "trusted.t", b"v"),
    "getxattr trusted": lambda p: os.getxattr(p, "trusted.there"),
    "setxattr security": lambda p: os.setxattr(p, "security.t", b"v"),
    "getxattr security": lambda p: os.getxattr(p, "security.there"),
    "link": lambda p: os.link(p, "../to/linked"),
    "stat": lambda p: brief(os.stat(p)),
}
FOLDER_OPERATIONS = {
    "stat in": lambda: brief(os.stat("sub/f")),
    "open in": lambda: opened("sub/f", os.O_RDWR),
    "open missing in": lambda: opened("sub/none", os.O_RDWR),
    "list": lambda: sorted(os.listdir("sub")),
    "create in": lambda: opened("sub/new", os.O_RDWR | os.O_CREAT, 0o6777),
    "create existing in": lambda: opened("sub/f", os.O_RDWR | os.O_CREAT | os.O_EXCL),
    "tmpfile in": lambda: opened("sub", os.O_TMPFILE | os.O_RDWR),
    "mkdir in": lambda: os.mkdir("sub/new", 0o7777),
    "mkdir existing in": lambda: os.mkdir("sub/f", 0o755),
    "mkfifo in": lambda: os.mkfifo("sub/new", 0o666),
    "mknod in": lambda: os.mknod("sub/new", stat.S_IFREG | 0o2711),
    "mknod char in": lambda: os.mknod("sub/new", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
    "symlink in": lambda: os.symlink("x", "sub/new"),
    "link into": lambda: os.link("mine", "sub/new"),
    "link out": lambda: os.link("sub/f", "new"),
    "unlink in": lambda: os.unlink("sub/f"),
    "unlink missing in": lambda: os.unlink("sub/none"),
    "unlink folder in": lambda: os.unlink("sub/d"),
    "rmdir in": lambda: os.rmdir("sub/d"),
    "rmdir file in": lambda: os.rmdir("sub/f"),
    "rmdir": lambda: os.rmdir("sub"),
    "rename in": lambda: os.rename("sub/f", "sub/g"),
    "rename out": lambda: os.rename("sub/f", "new"),
    "rename folder out": lambda: os.rename("sub/d", "new"),
    "rename into": lambda: os.rename("mine", "sub/new"),
    "rename over": lambda: os.rename("mine", "sub/f"),
    "rename folder over": lambda: os.rename("mydir", "sub/d"),
    "exchange": lambda: renameat2("mine", "sub/f", EXCHANGE),
    "noreplace": lambda: renameat2("mine", "sub/f", NOREPLACE),
    "whiteout": lambda: renameat2("sub/f", "new", WHITEOUT),
    "rename sub": lambda: os.rename("sub", "sub2"),
    "chmod f in": lambda: os.chmod("sub/f", 0o600),
    "chmod": lambda: os.chmod("sub", 0o2751),
    "chdir": lambda: os.stat("sub/.").st_nlink,
    "setxattr": lambda: os.setxattr("sub", "user.t", b"v"),
}


def file_cases(r):
    modes = [0, 0o400, 0o200, 0o100, 0o040, 0o020, 0o004, 0o002, 0o644, 0o666, 0o060, 0o606, 0o6755, 0o2644]
    for mode in modes:
        def build(mode=mode):
            os.mkdir("d")
            os.mkdir("to")
            put("d/f", b"hello\n")
            os.setxattr("d/f", "user.there", b"x")
            if IS_ROOT:
                os.setxattr("d/f", "trusted.there", b"x")
                os.setxattr("d/f", "security.there", b"x")
                own("d/f")
            os.chmod("to", 0o777)
            os.chmod("d/f", mode)
        for who in ANYONE:
            for name, operation in FILE_OPERATIONS.items():
                def run(operation=operation):
                    os.chdir("d")
                    try:
                        return operation("f")
                    finally:
                        os.chdir("..")
                r.case(f"{name} of {mode:04o}", run, build=build, who=who)


def folder_cases(r):
    """A folder `sub` of owner and group with each mode; the caller owns `mine` and `mydir` beside it."""
    for mode in (0o777, 0o755, 0o700, 0o555, 0o333, 0o111, 0o444, 0o666, 0, 0o770, 0o707, 0o1777, 0o2777, 0o3777, 0o2775):
        for who in ANYONE:
            uid, gid, _ = USERS[who]

            def build(mode=mode, uid=uid, gid=gid):
                os.mkdir("sub")
                put("sub/f", b"f", 0o666)
                os.mkdir("sub/d", 0o777)
                put("mine", b"m")
                os.mkdir("mydir", 0o755)
                for name in ("sub", "sub/f", "sub/d"):
                    own(name)
                for name in ("mine", "mydir"):
                    own(name, uid, gid)
                os.chmod("sub/f", 0o666)
                os.chmod("sub/d", 0o777)
                os.chmod("sub", mode)
                os.chmod(".", 0o777)
            for name, operation in FOLDER_OPERATIONS.items():
                r.case(f"{name} {mode:04o}", operation, build=build, who=who)


def sticky_cases(r):
    """In a sticky folder only the entry's owner, the folder's owner and root remove or rename."""
    operations = {
        "unlink": lambda: os.unlink("s/f"), "rmdir": lambda: os.rmdir("s/d"), "rename": lambda: os.rename("s/f", "s/g"),
        "rename out": lambda: os.rename("s/f", "out/g"), "rename folder out": lambda: os.rename("s/d", "out/d2"),
        "rename over": lambda: os.rename("out/mine", "s/f"), "rename folder over": lambda: os.rename("out/mydir", "s/d"),
        "rename into": lambda: os.rename("out/mine", "s/g"), "exchange": lambda: renameat2("s/f", "out/mine", EXCHANGE),
        "link": lambda: os.link("s/f", "out/l"), "open w": lambda: opened("s/f", os.O_WRONLY), "truncate": lambda: os.truncate("s/f", 0),
        "open creat": lambda: opened("s/f", os.O_RDWR | os.O_CREAT), "fifo open creat": lambda: opened("s/p", os.O_RDWR | os.O_CREAT),
        "whiteout": lambda: renameat2("s/f", "out/g", WHITEOUT),
    }
    people = [u for u in ("root", "owner", "member", "other") if u in USERS] or ANYONE
    for folder_owner in people:
        for entry_owner in people:
            for who in people:
                def build(a=USERS[folder_owner][0], b=USERS[entry_owner][0], c=USERS[who][0]):
                    os.mkdir("s")
                    os.mkdir("out")
                    os.mkdir("s/d")
                    put("s/f", b"f")
                    os.mkfifo("s/p")
                    put("out/mine", b"m")
                    os.mkdir("out/mydir")
                    own("s", a)
                    for name in ("s/f", "s/d", "s/p"):
                        own(name, b)
                        os.chmod(name, 0o777)
                    for name in ("out/mine", "out/mydir"):
                        own(name, c)
                    os.chmod("s", 0o1777)
                    os.chmod("out", 0o777)
                for name, operation in operations.items():
                    r.case(f"sticky {name}: folder of {folder_owner}, entry of {entry_owner}", operation, build=build, who=who)


def _copy_in(fd):
    source = os.open("source", os.O_RDONLY)
    try:
        return os.copy_file_range(source, fd, 3)
    finally:
        os.close(source)


def privilege_cases(r):
    """What removes set-user-id, set-group-id and file capabilities."""
    writing = os.O_WRONLY
    operations = {
        "write": with_file(writing, lambda fd: os.write(fd, b"abc")),
        "write nothing": with_file(writing, lambda fd: os.write(fd, b"")),
        "append": with_file(writing | os.O_APPEND, lambda fd: os.write(fd, b"abc")),
        "writev": with_file(writing, lambda fd: os.writev(fd, [b"a", b"bc"])),
        "pwrite past end": with_file(writing, lambda fd: os.pwrite(fd, b"x", 100_000)),
        "direct write": with_file(writing, lambda fd: os.write(fd, b"abc")),
        "truncate": lambda: os.truncate("f", 3),
        "truncate same": lambda: os.truncate("f", 6),
        "ftruncate": with_file(writing, lambda fd: os.ftruncate(fd, 3)),
        "ftruncate same": with_file(writing, lambda fd: os.ftruncate(fd, 6)),
        "open trunc": lambda: opened("f", os.O_WRONLY | os.O_TRUNC),
        "open w": lambda: opened("f", os.O_WRONLY),
        "fallocate": with_file(writing, lambda fd: fallocate(fd, 0, 0, 100)),
        "fallocate keep": with_file(writing, lambda fd: fallocate(fd, 1, 0, 100)),
        "punch": with_file(writing, lambda fd: fallocate(fd, 3, 0, 3)),
        "copy_file_range": with_file(writing, _copy_in),
        "mmap": with_file(os.O_RDWR, write_mapped),
        "sendfile": with_file(writing, lambda fd: os.sendfile(fd, os.open("source", os.O_RDONLY | os.O_CLOEXEC), 0, 3)),
        "chown same": lambda: os.chown("f", OWNER, GROUP),
        "chown -1": lambda: os.chown("f", -1, -1),
        "chown gid same": lambda: os.chown("f", -1, GROUP),
        "chown gid 19": lambda: os.chown("f", -1, 20019),
        "fchown": with_file(os.O_RDONLY, lambda fd: os.fchown(fd, -1, GROUP)),
        "lchown uid": lambda: os.lchown("f", 20005, -1),
        "chmod 6755": lambda: os.chmod("f", 0o6755),
        "chmod 2644": lambda: os.chmod("f", 0o2644),
        "chmod 7777": lambda: os.chmod("f", 0o7777),
        "fchmod 2755": with_file(os.O_RDONLY, lambda fd: os.fchmod(fd, 0o2755)),
        "link": lambda: os.link("f", "g"),
        "rename": lambda: os.rename("f", "g"),
        "setxattr": lambda: os.setxattr("f", "user.x", b"y"),
        "utimes": lambda: utimensat("f", (1, 1), (2, 2)),
        "utimes now": lambda: utimensat("f", None, None),
        "read": with_file(os.O_RDONLY, lambda fd: os.read(fd, 3)),
    }
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    for mode in (0o4777, 0o2777, 0o6777, 0o2767, 0o6767, 0o6766, 0o7666, 0o2666, 0o6070 | 0o007, 0o2707):
        for capable in (False, True):
            if capable and (mode != 0o6777 or not IS_ROOT):
                continue

            def build(mode=mode, capable=capable):
                put("source", b"source")
                put("f", b"hello\n")
                own("f")
                os.chmod("source", 0o666)
                os.chmod("f", mode)
                if capable:
                    os.setxattr("f", "security.capability", capability)
                os.chmod(".", 0o777)

            def rest():
                name = "f" if os.path.exists("f") else "g"
                s = os.stat(name)
                return oct(s.st_mode), s.st_uid, s.st_gid, s.st_size, sorted(os.listxattr(name))
            for who in ANYONE:
                for name, operation in operations.items():
                    r.case(f"{name} {mode:04o}{' capable' if capable else ''}", operation, build=build, after=rest, who=who)
    for mode in (0o6777, 0o2777, 0o2707):  # of folders, which keep theirs
        def build_folder(mode=mode):
            os.mkdir("f")
            own("f")
            os.chmod("f", mode)
        for who in ANYONE:
            for name in ("chown same", "chown -1", "chown gid 19", "lchown uid", "chmod 6755", "chmod 2644", "utimes now", "setxattr", "rename"):
                r.case(f"folder {name} {mode:04o}", operations[name], build=build_folder, who=who)
            r.case(f"folder child {mode:04o}", lambda: (put("f/x"), os.mkdir("f/y"), os.symlink("a", "f/z")), build=build_folder, who=who)


def mask_cases(r):
    """umask × mode × call × folder."""
    makers = {
        "open": lambda m: opened("d/n", os.O_RDWR | os.O_CREAT, m), "mkdir": lambda m: os.mkdir("d/n", m),
        "mkfifo": lambda m: os.mkfifo("d/n", m), "mknod": lambda m: os.mknod("d/n", stat.S_IFREG | m),
        "tmpfile": lambda m: opened("d", os.O_TMPFILE | os.O_RDWR, m), "symlink": lambda m: os.symlink("x", "d/n"),
        "sock": lambda m: os.mknod("d/n", stat.S_IFSOCK | m),
    }
    for folder in (0o777, 0o2777):
        def build(folder=folder):
            os.mkdir("d")
            own("d")
            os.chmod("d", folder)
        for mask in (0, 0o022, 0o077, 0o777, 0o127, 0o7777):
            for mode in (0, 0o644, 0o777, 0o2755, 0o2644, 0o4755, 0o7777, 0o1666):
                for name, make in makers.items():
                    for who in ("root", "other", "member") if IS_ROOT else ANYONE:
                        r.case(f"{name} {mode:04o} umask {mask:04o} in {folder:04o}", with_umask(mask, make, mode), build=build, who=who)


def descriptor_cases(r):
    """A descriptor keeps its rights whatever becomes of the mode; fsuid counts, not the owner of the process."""
    def build():
        put("f", b"hello\n")
        own("f")
        os.chmod(".", 0o777)

    def demoted():
        fd = os.open("f", os.O_RDWR)
        os.chmod("f", 0)
        out = os.pwrite(fd, b"J", 0), os.pread(fd, 6, 0), os.ftruncate(fd, 2)
        os.close(fd)
        return out
    r.case("read and write after chmod 0", demoted, build=build, who="owner" if IS_ROOT else None)
    if not IS_ROOT:
        return

    def after_drop():
        fd = os.open("f", os.O_RDWR)
        from world import attempt, user
        with user("other"):
            out = [attempt(os.fchmod, fd, 0o600), attempt(os.fchown, fd, 20004, -1), attempt(os.ftruncate, fd, 1), attempt(os.write, fd, b"x"),
                   attempt(os.utime, fd), attempt(os.utime, fd, (1, 1)), attempt(os.fsync, fd), attempt(os.setxattr, fd, "user.q", b"")]
        os.close(fd)
        return out
    r.case("a descriptor of root used by another", after_drop, build=build)

    def fsuid():
        LIBC.setfsgid(20039)
        LIBC.setfsuid(20004)
        try:
            os.close(os.open("g", os.O_CREAT | os.O_WRONLY))
            s = os.stat("g")
            return s.st_uid, s.st_gid, os.access("f", 2)
        finally:
            LIBC.setfsuid(0)
            LIBC.setfsgid(0)
    r.case("file system user", fsuid, build=build)


GROUPS = {"file_permissions": file_cases, "folder_permissions": folder_cases, "sticky": sticky_cases, "privileges": privilege_cases,
          "umask": mask_cases, "descriptors": descriptor_cases}
