# SPDX-License-Identifier: Apache-2.0
"""Keeps files open and mapped while they are locked. Usage: timelock.py READ WRITTEN COPY; says "ready" and waits for a line.

READ is read through a handle and a mapping from before, and copied in the kernel; WRITTEN was changed through a mapping.
"""
import errno
import mmap
import os
import signal
import sys

read_path, written_path, copy_path = sys.argv[1:]
handle = os.open(read_path, os.O_RDONLY)
mapped = mmap.mmap(handle, 0, prot=mmap.PROT_READ)
assert os.pread(handle, 6, 0) == b"secret" and mapped[:6] == b"secret"
written = os.open(written_path, os.O_RDWR)
changed = mmap.mmap(written, 0)
changed[:1] = b"W"
target = os.open(copy_path, os.O_RDWR | os.O_CREAT)
print("ready", flush=True)
sys.stdin.readline()


def refused(what, call):
    try:
        call()
    except OSError as error:
        assert error.errno == errno.EACCES, f"{what}: {error}"
    else:
        raise AssertionError(f"{what} was not refused")


refused("read through an old handle", lambda: os.pread(handle, 6, 0))
refused("write through an old handle", lambda: os.pwrite(written, b"x", 0))
refused("truncate", lambda: os.ftruncate(written, 0))
refused("copy", lambda: os.copy_file_range(handle, target, 6, 0, 0))
refused("sendfile", lambda: os.sendfile(target, handle, 0, 6))
refused("fallocate", lambda: os.posix_fallocate(written, 0, 1 << 20))
direct = os.open(read_path, os.O_RDONLY | os.O_DIRECT)
refused("read past the cache", lambda: os.preadv(direct, [mmap.mmap(-1, 4096)], 0))
refused("open with O_TRUNC", lambda: os.open(read_path, os.O_WRONLY | os.O_TRUNC))
for mapping in (mapped, mmap.mmap(os.open(read_path, os.O_RDONLY), 0, prot=mmap.PROT_READ)):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        os._exit(mapping[0] != 0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS, f"a mapping was read: {status}"
assert os.fstat(target).st_size == 0, "something was copied"
