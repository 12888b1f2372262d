# SPDX-License-Identifier: Apache-2.0
"""What the conformance cases share: system calls, users, a tree with one of everything, and what can be seen of it.

A case is one call by one user on a fresh tree. Its outcome is a line of text: what the call gave, and every field of
every entry that differs afterwards. The same cases run in a plain folder and in a mount; equal lines are equal behaviour.
"""
import contextlib
import ctypes
import errno
import mmap
import os
import shutil
import stat
import time
import zlib

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_EACCESS = -100, 0x100, 0x400, 0x1000, 0x200
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
CLOCK_REALTIME_COARSE = 5
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
IS_ROOT = os.geteuid() == 0

# name: uid, gid, supplementary groups. Files of a case belong to OWNER and GROUP.
OWNER, GROUP = (20001, 20010) if IS_ROOT else (os.geteuid(), os.getegid())
USERS = {
    "root": (0, 0, []),
    "owner": (OWNER, GROUP, []),
    "owner_not_member": (OWNER, 20019, []),
    "owner_supplementary": (OWNER, 20019, [GROUP]),
    "member": (20002, GROUP, []),
    "supplementary": (20003, 20029, [20028, GROUP]),
    "other": (20004, 20039, []),
} if IS_ROOT else {"self": (OWNER, GROUP, None)}
ANYONE = list(USERS)
SUPER = "root" if IS_ROOT else "self"


def call(result):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _path(path):
    return os.fsencode(path) if isinstance(path, str) else path


class Timespec(ctypes.Structure):
    _fields_ = [("s", ctypes.c_int64), ("ns", ctypes.c_int64)]


def utimensat(path, atime, mtime, flags=0, at=AT_FDCWD):
    times = None if atime is None else (Timespec * 2)(Timespec(*atime), Timespec(*mtime))
    call(LIBC.utimensat(at, _path(path), times, flags))


def renameat2(source, target, flags):
    call(LIBC.renameat2(AT_FDCWD, _path(source), AT_FDCWD, _path(target), flags))


def linkat(source, target, flags=0, at=AT_FDCWD):
    call(LIBC.linkat(at, _path(source), AT_FDCWD, _path(target), flags))


def fallocate(fd, mode, offset, length):
    call(LIBC.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


def fchmodat(path, mode, flags=0):
    # glibc before 2.39 does AT_SYMLINK_NOFOLLOW by itself, through /proc: the system call fchmodat2 (Linux 6.6) is 452.
    if flags:
        call(LIBC.syscall(452, AT_FDCWD, _path(path), mode, flags))
    else:
        os.chmod(path, mode)


def faccessat(path, mode, flags):
    call(LIBC.syscall(439, AT_FDCWD, _path(path), mode, flags))  # faccessat2


class Statx(ctypes.Structure):
    _fields_ = [("mask", ctypes.c_uint32), ("blksize", ctypes.c_uint32), ("attributes", ctypes.c_uint64),
                ("nlink", ctypes.c_uint32), ("uid", ctypes.c_uint32), ("gid", ctypes.c_uint32),
                ("mode", ctypes.c_uint16), ("pad", ctypes.c_uint16), ("ino", ctypes.c_uint64),
                ("size", ctypes.c_uint64), ("rest", ctypes.c_uint64 * 64)]


def statx(path, flags, mask=0x7ff, at=AT_FDCWD):
    out = Statx()
    call(LIBC.statx(at, _path(path), flags, mask, ctypes.byref(out)))
    return out


def attempt(function, *args, **kwargs):
    """What a call gives, as text: its value, or the name of its errno."""
    try:
        value = function(*args, **kwargs)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    except (ValueError, OverflowError) as error:
        return type(error).__name__
    if value is None:
        return "ok"
    return f"ok {value!r:.200}"


@contextlib.contextmanager
def user(name):
    """Everything inside is done as that user, without capabilities unless it is root."""
    uid, gid, groups = USERS[name]
    if not IS_ROOT or uid == 0:
        yield
        return
    os.setgroups(groups)
    os.setresgid(gid, gid, 0)
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups([])


def next_tick():
    before = time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
    while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) == before:
        time.sleep(0.0005)


def has_fine_clock():
    """Whether each change here has a time of its own. Before Linux 6.13 a file system stamps with a coarse clock."""
    put("clock")
    for mode in range(64):
        before = os.stat("clock").st_ctime_ns
        os.chmod("clock", 0o600 | mode)
        if os.stat("clock").st_ctime_ns == before:
            return False
    return True


def put(path, data=b"", mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def get(path):
    with open(path, "rb") as f:
        return f.read()


def with_file(flags, function, name="f"):
    """A case that does `function` to the open file `name`."""
    def run():
        fd = os.open(name, flags, 0o644)
        try:
            return function(fd)
        finally:
            os.close(fd)
    return run


def with_umask(mask, function, *args):
    """A case that calls `function` under the umask `mask`."""
    def run():
        os.umask(mask)
        try:
            return function(*args)
        finally:
            os.umask(0)
    return run


def write_mapped(fd):
    with mmap.mmap(fd, 6) as m:
        m[0:3] = b"abc"
        m.flush()


def own(path, uid=None, gid=None):
    if IS_ROOT:
        os.lchown(path, OWNER if uid is None else uid, GROUP if gid is None else gid)


LONG_NAME = "n" * 255


def one_of_everything():
    """A tree in the current folder with every kind of entry."""
    put("reg", b"hello\n")
    os.link("reg", "hard")
    os.mkdir("dir", 0o755)
    put("dir/f", b"below\n")
    os.mkdir("dir/sub", 0o755)
    os.mkdir("empty", 0o755)
    os.mkfifo("fifo", 0o644)
    os.mknod("sock", stat.S_IFSOCK | 0o644)
    if IS_ROOT:
        os.mknod("chr", stat.S_IFCHR | 0o644, os.makedev(1, 3))
        os.mknod("blk", stat.S_IFBLK | 0o644, os.makedev(7, 250))
    for target, name in (("reg", "to_reg"), ("dir", "to_dir"), ("empty/", "to_empty"), ("nothing", "to_nothing"),
                         ("loop", "loop"), ("fifo", "to_fifo"), ("dir/f", "to_deep"), ("reg/", "to_reg_slash")):
        os.symlink(target, name)
    if IS_ROOT:
        for name in os.listdir("."):
            own(name)
        own("dir/f")
        own("dir/sub")


KINDS = ["reg", "dir", "empty", "fifo", "sock", "chr", "blk", "to_reg", "to_nothing", "hard", "to_dir"]
if not IS_ROOT:
    KINDS = [k for k in KINDS if k not in ("chr", "blk")]
PATHS = KINDS + [
    "dir/", "empty/", "empty//", "to_empty", "to_empty/", "loop", "loop/x", "loop/", "to_fifo", "to_deep", "to_reg/", "to_reg_slash", "to_dir/",
    "to_dir/f", "to_dir/.", "to_nothing/", "to_nothing/x", "missing", "missing/", "missing/x", "reg/", "reg/x", "reg/.", "reg/..",
    "fifo/", "fifo/x", "sock/x", "dir/f", "dir/f/", "dir/f/x", "dir/missing", "dir/missing/", "", ".", "..", "./", "dir/.", "dir/..", "empty/.", "empty/..",
    "dir/sub/../f", "dir/sub/../../reg", LONG_NAME, LONG_NAME + "n", "dir/" + LONG_NAME, "dir/" + LONG_NAME + "n", LONG_NAME + "/x",
    LONG_NAME + "n/x", "./" * 2045 + "reg", "./" * 2045 + "regxx", "./" * 2045 + "regxxx", "./" * 2045 + "missing", "a" * 4095, "a" * 4096, "/" * 4095,
    "\udcff\udcfe", "reg\nx", " ", "-",
]


def show_path(path):
    return path if len(path) < 60 else f"{path[:12]}…{len(path)}"


def describe(path):
    s = os.lstat(path)
    kind = stat.S_IFMT(s.st_mode)
    out = {
        "type": oct(kind), "mode": oct(stat.S_IMODE(s.st_mode)), "uid": s.st_uid, "gid": s.st_gid, "nlink": s.st_nlink,
        "rdev": s.st_rdev, "ino": s.st_ino, "mtime": s.st_mtime_ns, "ctime": s.st_ctime_ns,
    }
    if not stat.S_ISDIR(kind):
        out["size"] = s.st_size
    if stat.S_ISLNK(kind):
        out["target"] = os.readlink(path)
    return out, stat.S_ISDIR(kind)


def snapshot():
    """Everything of the tree in the current folder but times of reading: name → field → value."""
    try:
        out = {".": describe(".")[0]}
    except OSError as error:  # a case took the user's own right to it away
        return {".": {"stat": errno.errorcode[error.errno]}}
    todo = [""]
    while todo:
        base = todo.pop()
        try:
            names = sorted(os.listdir(base or "."))
        except OSError as error:
            out[base]["listing"] = errno.errorcode[error.errno]
            continue
        for name in names:
            path = base + "/" + name if base else name
            try:
                out[path], is_dir = describe(path)
            except OSError as error:
                out[path] = {"stat": errno.errorcode[error.errno]}
                continue
            if is_dir:
                todo.append(path)
    return out


def changed_times(was, now):
    if was is None or "ctime" not in was or "ctime" not in now:
        return ""
    return "".join(f" {key}{'+' if now[key] > was[key] else '-'}" for key in ("mtime", "ctime") if now.get(key) != was.get(key))


def difference(before, after):
    """What changed, as text. Times are those of an inode, wherever its name was before."""
    parts = []
    was = {entry["ino"]: entry for entry in before.values() if "ino" in entry}
    for path in sorted(before.keys() | after.keys(), key=os.fsencode):
        a, b = before.get(path), after.get(path)
        if a == b:
            continue
        shown = show_path(path)
        if b is None:
            parts.append(f"-{shown}")
            continue
        if a is None:
            fields = ",".join(f"{k}={v}" for k, v in b.items() if k not in ("mtime", "ctime", "ino"))
            fields += changed_times(was.get(b.get("ino")), b)
            parts.append(f"+{shown}({fields})")
            continue
        fields = []
        for key in sorted(a.keys() | b.keys()):
            if a.get(key) != b.get(key) and key not in ("mtime", "ctime", "ino"):
                fields.append(f"{key}:{a.get(key)}>{b.get(key)}")
        if a.get("ino") != b.get("ino"):
            fields.append("another")
        parts.append(f"{shown}[{' '.join(fields)}{changed_times(was.get(b.get('ino')), b)}]")
    return " ".join(parts)


class Recorder:
    """Runs cases below a folder and writes one line for each.

    Of many cases that combine a few things only one in `every` runs, always the same ones, wherever and by whomever they are run.
    """

    def __init__(self, base, out, every=1):
        self.base, self.out, self.every, self.count = base, out, every, 0
        self.labels = {}
        self.folder = None
        self.before = self.built = None
        self.fresh()
        self.fine_clock = has_fine_clock()

    def record(self, label, outcome):
        # One line each, whatever a name holds.
        label = label.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n").replace("\t", "\\t")
        times = self.labels[label] = self.labels.get(label, 0) + 1
        if times > 1:
            label += f" #{times}"
        outcome = outcome.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n").replace("\t", "\\t")
        self.out.write(f"{label}\t{outcome}\n")
        self.count += 1

    def leave(self):
        os.chdir("/")
        if self.folder is not None:
            if not IS_ROOT:
                os.chmod(self.base, 0o777)
                os.chmod(self.folder, 0o777)
                for _, dirs, _, fd in os.fwalk(self.folder):
                    for name in dirs:
                        if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                            os.chmod(name, 0o700, dir_fd=fd)
            shutil.rmtree(self.folder)
        self.folder = None

    def fresh(self, build=None, mode=0o777):
        """Goes to a new empty folder, filled by `build`."""
        self.leave()
        self.folder = os.path.join(self.base, "case")
        os.mkdir(self.folder)
        os.chdir(self.folder)
        os.chmod(".", mode)
        own(".")
        if build is not None:
            build()

    def case(self, label, function, *args, build=one_of_everything, who=None, before=None, after=None, keep=True, **kwargs):
        """One case: `function(*args)` by `who` on the tree that `build` makes, and what it changed.

        `before` runs as the superuser after the tree is made, `after` afterwards, and its value is recorded too. A tree that no case changed is
        used again, unless `keep` is false.
        """
        by = f" by {who}" if who else ""
        if zlib.crc32((label + by).encode("utf-8", "backslashreplace")) % self.every != 0:
            return
        reuse = keep and before is None and self.folder is not None and self.before is not None and self.built == build
        if not reuse:
            self.fresh(build)
            if before is not None:
                before()
            self.before, self.built = snapshot(), build
        if not self.fine_clock:
            next_tick()
        with user(who or SUPER):
            result = attempt(function, *args, **kwargs)
        now = snapshot()
        changed = difference(self.before, now)
        extra = "" if after is None else " | " + attempt(after)
        if changed or before is not None or after is not None or not keep:
            self.before = None
        self.record(label + by, f"{result} {changed}{extra}".rstrip())

    def direct(self, label, function):
        """A case that looks at what it did by itself, in an empty folder."""
        self.before = None
        self.fresh()
        self.record(label, attempt(function))
