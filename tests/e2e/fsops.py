#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""File operations on a folder and what they must do there; also compares whole trees.

fsops.py run DIR             every check below, in fresh folders below DIR (works on any POSIX file system)
fsops.py make DIR            a tree with one of everything
fsops.py save DIR FILE       writes down all that can be seen of the tree under DIR
fsops.py compare DIR FILE [ino]   compares the tree with what was written down (with `ino`: inode numbers too)
"""
import ctypes
import errno
import fcntl
import hashlib
import json
import mmap
import os
import socket
import stat
import sys
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
GIB = 1 << 30
MANY = 100_000 if os.environ.get("LONG") else 10_000


def call(result):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def renameat2(source, target, flags):
    call(LIBC.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), flags))


def fallocate(fd, mode, offset, length):
    call(LIBC.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


def refused(code, function, *args, **kwargs):
    """The call must fail with errno `code`."""
    try:
        function(*args, **kwargs)
    except OSError as error:
        assert error.errno == code, f"{function.__name__}: {errno.errorcode[error.errno]}, not {errno.errorcode[code]}"
        return
    raise AssertionError(f"{function.__name__}{args} succeeded instead of {errno.errorcode[code]}")


def put(path, data=b""):
    with open(path, "wb") as f:
        f.write(data)


def get(path):
    with open(path, "rb") as f:
        return f.read()


def test_read_write(d):
    data = bytes(range(256)) * 1024
    put(d + "/f", data)
    assert get(d + "/f") == data
    with open(d + "/f", "r+b") as f:
        f.seek(65530)
        f.write(b"across a block border")
    wanted = data[:65530] + b"across a block border" + data[65551:]
    assert get(d + "/f") == wanted
    assert os.stat(d + "/f").st_size == len(wanted)
    put(d + "/empty")
    assert get(d + "/empty") == b""
    for size in (1, 4095, 4096, 4097, 65535, 65536, 65537, 131072):
        put(f"{d}/{size}", b"x" * size)
        assert get(f"{d}/{size}") == b"x" * size


def test_open_flags(d):
    put(d + "/f", b"0123456789")
    refused(errno.EEXIST, os.open, d + "/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    refused(errno.ENOENT, os.open, d + "/none", os.O_RDONLY)
    refused(errno.EISDIR, os.open, d, os.O_WRONLY)
    refused(errno.ENOTDIR, os.open, d + "/f/x", os.O_RDONLY)
    a = os.open(d + "/f", os.O_WRONLY | os.O_APPEND)
    b = os.open(d + "/f", os.O_WRONLY | os.O_APPEND)
    os.write(a, b"a")
    os.write(b, b"b")
    os.write(a, b"a")
    assert get(d + "/f") == b"0123456789aba"
    os.close(a)
    os.close(b)
    os.close(os.open(d + "/f", os.O_WRONLY | os.O_TRUNC))
    assert os.stat(d + "/f").st_size == 0 and get(d + "/f") == b""


def test_truncate(d):
    put(d + "/f", b"z" * 200_000)
    os.truncate(d + "/f", 70_000)
    assert get(d + "/f") == b"z" * 70_000
    os.truncate(d + "/f", 140_000)
    assert get(d + "/f") == b"z" * 70_000 + bytes(70_000), "what was cut off came back"
    os.truncate(d + "/f", 0)
    os.truncate(d + "/f", 10)
    assert get(d + "/f") == bytes(10)
    refused(errno.EFBIG, os.truncate, d + "/f", 1 << 47)
    assert os.stat(d + "/f").st_size == 10


def test_hard_links(d):
    put(d + "/a", b"one")
    os.link(d + "/a", d + "/b")
    os.mkdir(d + "/sub")
    os.link(d + "/b", d + "/sub/c")
    assert os.stat(d + "/a").st_nlink == 3
    assert len({os.stat(d + p).st_ino for p in ("/a", "/b", "/sub/c")}) == 1
    with open(d + "/sub/c", "ab") as f:
        f.write(b" two")
    assert get(d + "/a") == b"one two" and os.stat(d + "/a").st_size == 7
    os.unlink(d + "/a")
    assert get(d + "/b") == b"one two" and os.stat(d + "/b").st_nlink == 2
    refused(errno.EEXIST, os.link, d + "/b", d + "/sub/c")
    refused(errno.EPERM, os.link, d + "/sub", d + "/dirlink")
    # Renaming one name of a file over another of the same file does nothing at all.
    os.rename(d + "/b", d + "/sub/c")
    assert os.path.exists(d + "/b") and os.stat(d + "/b").st_nlink == 2


def test_symlinks(d):
    for target in ("f", "/nowhere/at/all", "ü" * 100, "t" * 4095):
        os.symlink(target, d + "/link")
        assert os.readlink(d + "/link") == target
        assert os.lstat(d + "/link").st_size == len(os.fsencode(target))
        os.unlink(d + "/link")
    put(d + "/f", b"through")
    os.symlink("f", d + "/good")
    assert get(d + "/good") == b"through"
    os.symlink("loop", d + "/loop")
    refused(errno.ELOOP, os.open, d + "/loop", os.O_RDONLY)
    refused(errno.EEXIST, os.symlink, "x", d + "/good")


def test_fifo(d):
    os.mkfifo(d + "/pipe", 0o600)
    assert stat.S_ISFIFO(os.stat(d + "/pipe").st_mode)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(get(d + "/pipe")))
    reader.start()
    put(d + "/pipe", b"through the pipe")
    reader.join()
    assert heard == [b"through the pipe"]


def test_socket(d):
    os.chdir(d)  # sun_path is short
    server = socket.socket(socket.AF_UNIX)
    server.bind("s")
    server.listen(1)
    assert stat.S_ISSOCK(os.stat("s").st_mode)
    client = socket.socket(socket.AF_UNIX)
    client.connect("s")
    peer, _ = server.accept()
    client.sendall(b"hello")
    assert peer.recv(5) == b"hello"
    for s in (server, client, peer):
        s.close()
    os.chdir("/")


def test_mknod(d):
    os.mknod(d + "/plain", stat.S_IFREG | 0o640)
    assert stat.S_IMODE(os.stat(d + "/plain").st_mode) == 0o640
    put(d + "/plain", b"x")
    assert get(d + "/plain") == b"x"


def test_directories(d):
    os.mkdir(d + "/a", 0o750)
    assert stat.S_IMODE(os.stat(d + "/a").st_mode) == 0o750
    assert os.stat(d + "/a").st_nlink == 2
    os.mkdir(d + "/a/b")
    assert os.stat(d + "/a").st_nlink == 3
    refused(errno.EEXIST, os.mkdir, d + "/a")
    refused(errno.ENOTEMPTY, os.rmdir, d + "/a")
    refused(errno.EISDIR, os.unlink, d + "/a")
    put(d + "/f")
    refused(errno.ENOTDIR, os.rmdir, d + "/f")
    os.rmdir(d + "/a/b")
    assert os.stat(d + "/a").st_nlink == 2
    before = os.stat(d + "/a").st_mtime_ns
    put(d + "/a/new")
    assert os.stat(d + "/a").st_mtime_ns >= before
    assert os.stat(d + "/a/..").st_ino == os.stat(d).st_ino
    here = os.open(d + "/a", os.O_RDONLY)
    os.unlink(d + "/a/new")
    os.rmdir(d + "/a")
    try:
        assert os.listdir(here) == [], "a removed directory still lists names"
    except FileNotFoundError:
        pass  # POSIX allows both
    os.close(here)


def test_names(d):
    names = ["n" * 255, "é" * 127 + "x", " leading and trailing ", "new\nline", "-rf", "\\", "*?[", "日本語", "ﬁ", "é", "e\u0301"]
    raw = [os.fsencode(n) for n in names] + [b"\xff\xfe\x01", b"\x80" * 255]
    folder = os.fsencode(d) + b"/"
    for name in raw:
        with open(folder + name, "wb") as f:
            f.write(name)
    assert sorted(os.listdir(folder)) == sorted(raw)
    for name in raw:
        assert get(folder + name) == name
    for function in (os.mkdir, os.mkfifo, os.stat):
        refused(errno.ENAMETOOLONG, function, folder + b"n" * 256)
    refused(errno.ENAMETOOLONG, os.rename, folder + raw[0], folder + b"m" * 256)
    refused(errno.ENAMETOOLONG, os.symlink, b"x", folder + b"n" * 256)
    refused(errno.ENAMETOOLONG, os.link, folder + raw[0], folder + b"n" * 256)


def test_rename(d):
    put(d + "/a", b"a")
    put(d + "/b", b"b")
    held = os.open(d + "/b", os.O_RDONLY)
    os.rename(d + "/a", d + "/b")
    assert get(d + "/b") == b"a" and not os.path.exists(d + "/a")
    assert os.read(held, 9) == b"b" and os.fstat(held).st_nlink == 0
    os.close(held)
    os.makedirs(d + "/one/deep")
    os.mkdir(d + "/two")
    os.rename(d + "/one/deep", d + "/two/deep")
    assert os.stat(d + "/one").st_nlink == 2 and os.stat(d + "/two").st_nlink == 3
    assert os.stat(d + "/two/deep/..").st_ino == os.stat(d + "/two").st_ino
    refused(errno.EINVAL, os.rename, d + "/two", d + "/two/deep/inside")
    put(d + "/two/deep/x")
    refused(errno.ENOTEMPTY, os.rename, d + "/one", d + "/two/deep")
    refused(errno.EISDIR, os.rename, d + "/b", d + "/one")
    refused(errno.ENOTDIR, os.rename, d + "/one", d + "/b")
    os.unlink(d + "/two/deep/x")
    os.rename(d + "/one", d + "/two/deep")  # over an empty directory
    assert not os.path.exists(d + "/one")
    refused(errno.ENOENT, os.rename, d + "/none", d + "/any")


def test_rename_flags(d):
    put(d + "/a", b"a")
    put(d + "/b", b"b")
    refused(errno.EEXIST, renameat2, d + "/a", d + "/b", RENAME_NOREPLACE)
    renameat2(d + "/a", d + "/c", RENAME_NOREPLACE)
    assert get(d + "/c") == b"a"
    renameat2(d + "/b", d + "/c", RENAME_EXCHANGE)
    assert (get(d + "/b"), get(d + "/c")) == (b"a", b"b")
    refused(errno.ENOENT, renameat2, d + "/b", d + "/none", RENAME_EXCHANGE)
    os.makedirs(d + "/x/child")
    os.mkdir(d + "/y")
    put(d + "/y/file", b"f")
    renameat2(d + "/x/child", d + "/y/file", RENAME_EXCHANGE)  # a directory with a file, across directories
    assert get(d + "/x/child") == b"f" and os.path.isdir(d + "/y/file")
    assert os.stat(d + "/x").st_nlink == 2 and os.stat(d + "/y").st_nlink == 3
    assert os.stat(d + "/y/file/..").st_ino == os.stat(d + "/y").st_ino


def test_unlinked_but_open(d):
    fd = os.open(d + "/f", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"before")
    os.unlink(d + "/f")
    os.write(fd, b" after" * 50_000)
    assert os.fstat(fd).st_nlink == 0
    assert os.pread(fd, 12, 0) == b"before after"
    os.ftruncate(fd, 3)
    os.fsync(fd)
    assert os.fstat(fd).st_size == 3
    put(d + "/f", b"another")
    assert os.pread(fd, 9, 0) == b"bef"
    os.close(fd)


def test_tmpfile(d):
    try:
        fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        assert error.errno in (errno.EOPNOTSUPP, errno.EISDIR), error
        return "not offered by this libfuse or kernel"
    os.write(fd, b"appears whole")
    # os.link() has no AT_SYMLINK_FOLLOW.
    call(LIBC.linkat(-100, b"/proc/self/fd/%d" % fd, -100, os.fsencode(d + "/f"), 0x400))
    os.close(fd)
    assert get(d + "/f") == b"appears whole"
    return None


def test_xattrs(d):
    put(d + "/f")
    for value in (b"", b"v", bytes(range(256)), b"long" * 1000):
        os.setxattr(d + "/f", "user.tag", value)
        assert os.getxattr(d + "/f", "user.tag") == value
    os.setxattr(d + "/f", "user.other", b"2", os.XATTR_CREATE)
    refused(errno.EEXIST, os.setxattr, d + "/f", "user.other", b"3", os.XATTR_CREATE)
    refused(errno.ENODATA, os.setxattr, d + "/f", "user.none", b"3", os.XATTR_REPLACE)
    refused(errno.ENODATA, os.getxattr, d + "/f", "user.none")
    assert {n for n in os.listxattr(d + "/f") if n.startswith("user.")} == {"user.tag", "user.other"}
    os.removexattr(d + "/f", "user.tag")
    refused(errno.ENODATA, os.removexattr, d + "/f", "user.tag")
    os.mkdir(d + "/sub")
    os.setxattr(d + "/sub", "user.dir", b"yes")
    assert os.getxattr(d + "/sub", "user.dir") == b"yes"
    os.rename(d + "/f", d + "/g")
    assert os.getxattr(d + "/g", "user.other") == b"2"


def test_sparse(d):
    fd = os.open(d + "/f", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"start", 0)
    os.pwrite(fd, b"end of it", 5 * GIB)
    os.fsync(fd)
    info = os.fstat(fd)
    assert info.st_size == 5 * GIB + 9
    assert info.st_blocks * 512 < 16 << 20, "the hole takes room"
    assert os.pread(fd, 9, 5 * GIB) == b"end of it"
    assert os.pread(fd, 100, 4 * GIB) == bytes(100)
    hole = os.lseek(fd, 0, os.SEEK_HOLE)
    assert 5 <= hole <= 1 << 20, hole
    data = os.lseek(fd, hole, os.SEEK_DATA)
    assert 5 * GIB - (1 << 20) <= data <= 5 * GIB, data
    assert os.lseek(fd, data, os.SEEK_HOLE) == info.st_size
    refused(errno.ENXIO, os.lseek, fd, info.st_size, os.SEEK_DATA)
    refused(errno.ENXIO, os.lseek, fd, info.st_size + 1, os.SEEK_HOLE)
    os.ftruncate(fd, 100)
    assert os.pread(fd, 200, 0) == b"start" + bytes(95)
    os.close(fd)


def test_fallocate(d):
    fd = os.open(d + "/f", os.O_RDWR | os.O_CREAT)
    fallocate(fd, 0, 0, 100_000)
    assert os.fstat(fd).st_size == 100_000 and os.pread(fd, 10, 50_000) == bytes(10)
    fallocate(fd, KEEP_SIZE, 0, 300_000)
    assert os.fstat(fd).st_size == 100_000
    os.pwrite(fd, b"x" * 300_000, 0)
    fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 1000, 200_000)
    assert os.pread(fd, 300_000, 0) == b"x" * 1000 + bytes(200_000) + b"x" * 99_000
    assert os.fstat(fd).st_size == 300_000
    fallocate(fd, ZERO_RANGE, 290_000, 20_000)
    assert os.fstat(fd).st_size == 310_000
    assert os.pread(fd, 30_000, 280_000) == b"x" * 10_000 + bytes(20_000)
    fallocate(fd, ZERO_RANGE | KEEP_SIZE, 300_000, 50_000)
    assert os.fstat(fd).st_size == 310_000
    os.close(fd)


def test_copy_file_range(d):
    data = os.urandom(300_000)
    put(d + "/from", data)
    source = os.open(d + "/from", os.O_RDONLY)
    target = os.open(d + "/to", os.O_RDWR | os.O_CREAT)
    done = 0
    while done < len(data):
        count = os.copy_file_range(source, target, len(data) - done, done, done)
        assert count > 0
        done += count
    assert get(d + "/to") == data
    count = os.copy_file_range(source, target, 1000, 65_000, 7)
    assert get(d + "/to") == data[:7] + data[65_000:65_000 + count] + data[7 + count:]
    os.close(source)
    os.close(target)


def test_times(d):
    put(d + "/f")
    for ns in (1, 999_999_999, 1_700_000_000_123_456_789, -1_500_000_000, 5_000_000_000_000_000_001):
        os.utime(d + "/f", ns=(ns, ns + 1))
        info = os.stat(d + "/f")
        assert (info.st_atime_ns, info.st_mtime_ns) == (ns, ns + 1)
    os.symlink("f", d + "/link")
    os.utime(d + "/link", ns=(5, 6), follow_symlinks=False)
    assert os.lstat(d + "/link").st_mtime_ns == 6
    os.utime(d + "/f", ns=(0, 0))
    ctime = os.stat(d + "/f").st_ctime_ns
    with open(d + "/f", "ab") as f:
        f.write(b"x")
    assert os.stat(d + "/f").st_mtime_ns > 0, "a write left the modification time"
    os.chmod(d + "/f", 0o600)
    assert os.stat(d + "/f").st_ctime_ns >= ctime > 0


def test_permissions(d):
    put(d + "/f", b"secret")
    for mode in (0o000, 0o640, 0o4755, 0o1777):
        os.chmod(d + "/f", mode)
        assert stat.S_IMODE(os.stat(d + "/f").st_mode) == mode
    os.chmod(d + "/f", 0)
    if os.getuid() == 0:
        os.chown(d + "/f", 12345, 54321)
        assert (os.stat(d + "/f").st_uid, os.stat(d + "/f").st_gid) == (12345, 54321)
    else:
        refused(errno.EACCES, os.open, d + "/f", os.O_RDONLY)
        refused(errno.EPERM, os.chown, d + "/f", 12345, -1)
        os.mkdir(d + "/closed", 0o000)
        refused(errno.EACCES, os.listdir, d + "/closed")
        refused(errno.EACCES, os.stat, d + "/closed/x")
    old = os.umask(0o077)
    put(d + "/masked")
    os.umask(old)
    assert stat.S_IMODE(os.stat(d + "/masked").st_mode) == 0o600


def test_locks(d):
    put(d + "/f", b"x" * 100)

    def in_child(function):
        pid = os.fork()
        if pid == 0:
            os._exit(function())
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def try_flock():
        with open(d + "/f", "r+b") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 1
        return 0

    def try_range(start):
        with open(d + "/f", "r+b") as f:
            try:
                fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, start)
            except (BlockingIOError, PermissionError):
                return 1
        return 0

    with open(d + "/f", "r+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        assert in_child(try_flock) == 1
        fcntl.flock(f, fcntl.LOCK_UN)
        assert in_child(try_flock) == 0
        fcntl.lockf(f, fcntl.LOCK_EX, 10, 20)
        assert in_child(lambda: try_range(25)) == 1
        assert in_child(lambda: try_range(40)) == 0


def test_shared_mmap(d):
    put(d + "/f", bytes(300_000))
    with open(d + "/f", "r+b") as f:
        with mmap.mmap(f.fileno(), 0) as m:
            m[0:5] = b"first"
            m[131_070:131_076] = b"middle"
            m.flush()
            assert os.pread(f.fileno(), 6, 131_070) == b"middle"
            os.pwrite(f.fileno(), b"by write", 200_000)
            assert m[200_000:200_008] == b"by write"
    data = get(d + "/f")
    assert data[:5] == b"first" and data[131_070:131_076] == b"middle" and data[200_000:200_008] == b"by write"


def test_fsync(d):
    fd = os.open(d + "/f", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x")
    os.fsync(fd)
    os.fdatasync(fd)
    os.close(fd)
    fd = os.open(d, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    os.sync()


def test_statfs(d):
    info = os.statvfs(d)
    assert info.f_namemax == 255
    assert info.f_bavail > 0 and info.f_blocks >= info.f_bfree


def test_directory_streams(d):
    names = {f"entry {i}" for i in range(3000)}
    for name in names:
        put(f"{d}/{name}")
    with os.scandir(d) as entries:
        seen = []
        for number, entry in enumerate(entries):
            seen.append(entry.name)
            assert entry.is_file() and entry.inode() == os.stat(entry.path).st_ino
            if number % 3 == 0:
                os.unlink(entry.path)  # removing what was listed must not hide or double the rest
    assert sorted(seen) == sorted(names)
    assert len(os.listdir(d)) == 2000


def test_many_files(d):
    for i in range(MANY):
        os.close(os.open(f"{d}/{i:06}.md", os.O_CREAT | os.O_WRONLY, 0o644))
    assert len(os.listdir(d)) == MANY
    for i in range(0, MANY, MANY // 100):
        assert os.stat(f"{d}/{i:06}.md").st_size == 0
    refused(errno.ENOENT, os.stat, f"{d}/{MANY:06}.md")
    for i in range(0, MANY, 2):
        os.unlink(f"{d}/{i:06}.md")
    assert len(os.listdir(d)) == MANY // 2
    return f"{MANY} files"


def run(top):
    for name, function in sorted(globals().items()):
        if not name.startswith("test_"):
            continue
        folder = os.path.join(top, name)
        os.mkdir(folder)
        note = function(folder)
        print(f"  ok: {name[5:].replace('_', ' ')}" + (f" ({note})" if note else ""), flush=True)


def make(top):
    os.makedirs(top + "/2026/11", exist_ok=True)
    put(top + "/2026/11/22.md", "Dear diary, ä\n".encode())
    put(top + "/big", os.urandom(3_000_000))
    put(top + "/" + "n" * 255, b"long name")
    os.link(top + "/big", top + "/2026/big too")
    os.symlink("2026/11/22.md", top + "/today")
    os.mkfifo(top + "/pipe", 0o640)
    os.mkdir(top + "/empty", 0o700)
    os.setxattr(top + "/big", "user.note", b"kept")
    os.setxattr(top + "/2026", "user.year", b"2026")
    with open(top + "/sparse", "wb") as f:
        f.seek(20 << 20)
        f.write(b"end")
    os.chmod(top + "/2026/11/22.md", 0o444)
    for i, (folder, _, names) in enumerate(os.walk(top, topdown=False)):
        for j, name in enumerate(names):
            ns = 1_234_567_890_123_456_789 + i * 1000 + j
            os.utime(os.path.join(folder, name), ns=(ns, ns + 7), follow_symlinks=False)


def look(top):
    seen = {}
    for folder, folders, names in os.walk(top):
        for name in folders + names + ([""] if folder == top else []):
            path = os.path.join(folder, name) if name else folder
            info = os.lstat(path)
            item = {
                "mode": oct(info.st_mode), "uid": info.st_uid, "gid": info.st_gid, "nlink": info.st_nlink,
                "xattrs": {n: os.getxattr(path, n, follow_symlinks=False).hex()
                           for n in os.listxattr(path, follow_symlinks=False)},
                "ino": info.st_ino,
            }
            if not stat.S_ISDIR(info.st_mode):
                item["size"] = info.st_size
            if name or stat.S_ISREG(info.st_mode):
                item["mtime"] = info.st_mtime_ns
            if stat.S_ISLNK(info.st_mode):
                item["target"] = os.fsencode(os.readlink(path)).hex()
            if stat.S_ISREG(info.st_mode):
                with open(path, "rb") as f:
                    item["content"] = hashlib.file_digest(f, "sha256").hexdigest() if hasattr(
                        hashlib, "file_digest") else hashlib.sha256(f.read()).hexdigest()
            seen[os.fsencode(os.path.relpath(path, top)).hex()] = item
    return seen


def compare(top, file, with_ino):
    with open(file, encoding="ascii") as f:
        wanted = json.load(f)
    found = look(top)
    different = 0
    for key in sorted(set(wanted) | set(found)):
        name = os.fsdecode(bytes.fromhex(key))
        a, b = wanted.get(key), found.get(key)
        if a is None or b is None:
            print(f"{name}: {'not there before' if a is None else 'missing'}")
            different += 1
            continue
        for what in sorted(set(a) | set(b)):
            if a.get(what) != b.get(what) and (what != "ino" or with_ino):
                print(f"{name}: {what} was {a.get(what)}, is {b.get(what)}")
                different += 1
    sys.exit(1 if different or not wanted else 0)


def main():
    verb, top = sys.argv[1], os.path.abspath(sys.argv[2])
    if verb == "run":
        run(top)
    elif verb == "make":
        make(top)
    elif verb == "save":
        with open(sys.argv[3], "w", encoding="ascii") as f:
            json.dump(look(top), f)
    elif verb == "compare":
        compare(top, sys.argv[3], "ino" in sys.argv[4:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
