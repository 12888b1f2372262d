#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What secret_search.py and secret_devices.py share: commands under ptrace, and the search for secrets in what they had and wrote.

The commands of tain are looked at at many of their system calls (with --every-call at all) and at their very end: into all
writable memory that a core dump would have, that is, outside the arena of guarded pages. What they write or send, to
whatever descriptor, is kept too. Afterwards the passwords and keys are looked for in it. Keys are worked out here, from
the header and what opens it, by the script of the known answers (VECTORS/make_vectors.py).
Arguments: TAIN WORK VECTORS.
"""
import ctypes
import hashlib
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import time

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

TAIN, WORK, VECTORS = sys.argv[1:4]
EVERY_CALL = "--every-call" in sys.argv
sys.path.append(VECTORS)
import make_vectors as known  # noqa: E402

FAILURES_SHOWN = 40
# While libsodium's Argon2id gives its memory and its list of random numbers back, it still has the result on heap and stack;
# it wipes them before it returns.
MUNMAP, ARGON2_MEMORY = 11, 128 << 10  # bytes, at least
PAGE, NEEDLE_MAX = 4096, 256  # bytes
# The processes in which libraries handle keys that they do not wipe (cli/child.h). They end at once, and leave no core; what
# they hand to the process that started them, through a pipe, is a key.
CHILD = "tain-child"
KEPT = os.environ.get("TAIN_E2E_PICTURES")  # a folder for the pictures in which something was found
VAULT, MNT = f"{WORK}/vault", f"{WORK}/mnt"

# --- ptrace(2) -----------------------------------------------------------------------------------------------------
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, INTERRUPT, LISTEN, SYSCALL, DETACH, GET_INFO = 0x4206, 0x4207, 0x4208, 24, 17, 0x420e
OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x40 | 0x100000  # system calls, (v)fork, clone, exec, exit; they die with us
EVENT_EXIT, EVENT_STOP = 6, 128
WALL = 0x40000000

# System calls of x86-64. What is written is kept; memory is looked at where something is asked of the system or given back to it.
WRITE, PWRITE, WRITEV, SENDTO, SENDMSG = 1, 18, 20, 44, 46
LOOKED_AT = {WRITE, SENDTO, SENDMSG, 7, 271, 42, 56, 57, 58, 435, 61, 73, 74, 82, 150, 231}


class Gone(Exception):
    """The process ended meanwhile."""


def ptrace(request, pid, address=0, data=0):
    if libc.ptrace(request, pid, address, data) < 0:
        error = ctypes.get_errno()
        if error == 3:
            raise Gone()
        raise OSError(error, f"ptrace {request}")


def regions(pid):
    """(start, end, name, whether a core dump leaves it out) of all private writable memory."""
    out, line_of = [], re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$")
    try:
        with open(f"/proc/{pid}/smaps") as smaps:
            here = None
            for line in smaps:
                match = line_of.match(line)
                if match:
                    start, end, how, name = match.groups()
                    here = (int(start, 16), int(end, 16), name or "anonymous", how)
                elif line.startswith("VmFlags:") and here and here[3].startswith("rw") and here[3].endswith("p"):
                    out.append((*here[:3], "dd" in line.split()))
    except (FileNotFoundError, ProcessLookupError):
        raise Gone() from None
    return out


def memory_of(pid, start, size):
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            memory.seek(start)
            return memory.read(size)
    except (FileNotFoundError, ProcessLookupError):
        raise Gone() from None
    except OSError:  # a guard page
        return b""


def is_tain(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe") == TAIN
    except OSError:
        return False


class Run:
    """What a command had in its memory and wrote, until it ended."""

    def __init__(self, what):
        self.what = what
        self.memory = {}   # hash of a page: (content, where, when)
        self.written = []  # (where to, bytes)
        self.status = None
        self.output = b""
        self.calls = 0
        self.handed = []   # what children handed over

    def look_at(self, pid, when):
        if comm(pid) == CHILD:
            if core_limits(pid) != ["0", "0"]:
                failures.append(f"{self.what}: a process that asks a device may leave a core")
            return
        for start, end, name, is_left_out in regions(pid):
            content = memory_of(pid, start, end - start)
            if is_left_out:
                continue
            for at in range(0, len(content), PAGE):
                page = content[at:at + PAGE + NEEDLE_MAX]  # what crosses its end is in it too
                key = hashlib.blake2b(page, digest_size=16).digest()
                if key not in self.memory:
                    self.memory[key] = (page, f"{name} of {comm(pid)}", when)

    def keep_written(self, pid, number, args):
        fd, parts = args[0], []
        if number in (WRITE, PWRITE, SENDTO):
            parts.append((args[1], args[2]))
        else:
            vector, count = args[1], args[2]
            if number == SENDMSG:
                vector, count = struct.unpack("<QQ", memory_of(pid, args[1] + 16, 16))
            raw = memory_of(pid, vector, 16 * min(count, 1024))
            parts += [struct.unpack_from("<QQ", raw, 16 * i) for i in range(len(raw) // 16)]
        try:
            where = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            where = "?"
        content = b"".join(memory_of(pid, at, size) for at, size in parts)
        if fd > 2 and where.startswith("pipe:") and comm(pid) == CHILD:
            self.handed.append(content)
        else:
            self.written.append((where, content))


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return "?"


def core_limits(pid):
    """The soft and the hard one."""
    try:
        with open(f"/proc/{pid}/limits") as f:
            return next(line for line in f if line.startswith("Max core file size")).split()[4:6]
    except (FileNotFoundError, ProcessLookupError):
        raise Gone() from None


def tgid(tid):
    try:
        with open(f"/proc/{tid}/status") as f:
            return int(next(line for line in f if line.startswith("Tgid:")).split()[1])
    except (OSError, StopIteration):
        raise Gone() from None


def trace(run, leader, stays=False):
    """Until `leader` has ended, and with it all that it started; or lets go those that it leaves, if it `stays`."""
    tasks, processes, info = {leader}, {leader}, ctypes.create_string_buffer(88)
    while tasks:
        tid, status = os.waitpid(-1, WALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            tasks.discard(tid)
            if tid == leader:
                run.status = os.waitstatus_to_exitcode(status)
                if stays:
                    return let_go(processes)
            continue
        tasks.add(tid)
        event, number = status >> 16, os.WSTOPSIG(status)
        try:
            deliver = 0
            processes.add(pid := tgid(tid))
            if number == signal.SIGTRAP | 0x80:
                ptrace(GET_INFO, tid, 88, ctypes.addressof(info))
                if info.raw[0] == 1 and is_tain(pid):  # at its entry
                    call, *args = struct.unpack_from("<7Q", info.raw, 24)
                    run.calls += 1
                    if call in (WRITE, PWRITE, WRITEV, SENDTO, SENDMSG):
                        run.keep_written(pid, call, args)
                    inside_argon2 = call == MUNMAP and args[1] >= ARGON2_MEMORY
                    if (EVERY_CALL and not inside_argon2) or call in LOOKED_AT:
                        run.look_at(pid, f"system call {call}")
            elif event == EVENT_EXIT:
                if pid == tid and is_tain(tid):
                    run.look_at(tid, "its end")
            elif event == 0:
                deliver = number
            elif event == EVENT_STOP and number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
                ptrace(LISTEN, tid)
                continue
            ptrace(SYSCALL, tid, 0, deliver)
        except Gone:
            pass


def traced_tasks(processes):
    """Those of their threads that are ours to trace, also those that we have not heard of yet."""
    for pid in processes:
        try:
            for tid in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{tid}/status") as f:
                    if any(line == f"TracerPid:\t{os.getpid()}\n" for line in f):
                        yield int(tid)
        except OSError:
            pass


def let_go(processes):
    asked = set()
    while left := set(traced_tasks(processes)):
        for tid in left - asked:
            try:
                ptrace(INTERRUPT, tid)
            except (Gone, OSError):
                continue
            asked.add(tid)
        tid, status = os.waitpid(-1, WALL | os.WNOHANG)
        if tid == 0:
            time.sleep(0.01)
        elif os.WIFSTOPPED(status):
            number = os.WSTOPSIG(status)
            try:
                processes.add(tgid(tid))
                ptrace(DETACH, tid, 0, number if status >> 16 == 0 and number != signal.SIGTRAP | 0x80 else 0)
            except Gone:
                pass


def traced(what, words, stdin=b"", typed=(), pass_fds=(), env=None, stays=False, wanted=0):
    """Runs tain. `typed`: on a terminal, what to answer to which prompt."""
    go, ready = os.pipe()
    out_read, out_write = os.pipe()
    terminal, in_read = -1, -1
    if typed:
        terminal, slave = pty.openpty()
    else:
        in_read, in_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(go, 1)
        if typed:
            os.setsid()
            import fcntl
            import termios
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(slave, fd)
            os.closerange(3, 256)
        else:
            os.dup2(in_read, 0)
            os.dup2(out_write, 1)
            os.dup2(out_write, 2)
            for fd in range(3, 256):
                if fd not in pass_fds:
                    try:
                        os.close(fd)
                    except OSError:
                        pass
            for fd in pass_fds:
                os.set_inheritable(fd, True)
        os.execve(TAIN, [TAIN, *words], {**os.environ, **(env or {})})
    os.close(out_write)
    run = Run(what)
    ptrace(SEIZE, pid, 0, OPTIONS)
    os.write(ready, b"x")
    for fd in (go, ready):
        os.close(fd)
    helper = os.fork()  # types and listens, as we only trace
    if helper == 0:
        try:
            listen(terminal, slave if typed else -1, typed, out_read, -1 if typed else in_write, stdin)
        finally:
            os._exit(0)
    for fd in [out_read] + ([terminal, slave] if typed else [in_read, in_write]):
        os.close(fd)
    trace_with_helper(run, pid, helper, stays)
    with open(f"{WORK}/heard", "rb") as f:
        run.output = f.read()
    if run.status != wanted:
        sys.exit(f"{what}: tain {' '.join(words)} ended with {run.status}, not {wanted}: {run.output.decode(errors='replace')}")
    return run


def listen(terminal, slave, typed, out_read, in_write, stdin):
    heard = b""
    if terminal >= 0:
        os.close(slave)
        os.close(out_read)
        source, left, seen = terminal, list(typed), 0
    else:
        source, left, seen = out_read, [], 0
        if stdin:
            os.write(in_write, stdin)
        os.close(in_write)
    while True:
        try:
            text = os.read(source, 65536)
        except OSError:
            break
        if not text:
            break
        heard += text
        while left and (at := heard.find(left[0][0].encode(), seen)) >= 0:
            seen = at + len(left[0][0])
            os.write(terminal, left.pop(0)[1].encode() + b"\n")
        with open(f"{WORK}/heard.new", "wb") as f:
            f.write(heard)
        os.rename(f"{WORK}/heard.new", f"{WORK}/heard")


def trace_with_helper(run, leader, helper, stays):
    with open(f"{WORK}/heard", "wb"):
        pass
    trace(run, leader, stays)
    try:
        os.waitpid(helper, 0)
    except ChildProcessError:  # trace() has seen its end
        pass


# --- what is looked for --------------------------------------------------------------------------------------------
def canary(n=16):
    return os.urandom(n).hex()


def open_sealed(key, label, ad, sealed):
    s, commitment, box = sealed[:32], sealed[32:64], sealed[64:]
    both = known.kdf(key, label, known.NONE, s + known.h(ad), 64)
    if both[32:] != commitment:
        return None
    return ChaCha20Poly1305(known.hchacha20(both[:32], bytes(16))).decrypt(bytes(12), box, known.h(ad))


def keys_of(header, secret, keyfile=b""):
    """{label: bytes} of all that follows from a password (bytes), or from words or a device's key, for the slot that it opens."""
    major_minor, vault = header[12:16], header[16:32]
    epoch, suite, count = header[40:44], header[44:45], header[45]
    at, out = 112, {}
    for _ in range(count):
        extra = int.from_bytes(header[at + 46:at + 48], "little")
        public, wrap = header[at:at + 48 + extra], header[at + 48 + extra:at + 160 + extra]
        at += 272 + extra
        kind, slot = public[0], public[1:9]
        if kind in (1, 2):
            passes, memory = struct.unpack_from("<IQ", public, 10)
            pwk = known.argon2id(secret, public[22:38], passes, memory)
        else:
            pwk = secret.ljust(32, b"\0")
        content = keyfile if kind == 2 else b""
        kek = known.kdf(pwk[:32], "tain1.kek", vault, slot + known.h(content), 32)
        master = open_sealed(kek, "tain1.wrap", header[:8] + major_minor + vault + epoch + suite + public, wrap)
        if master is None:
            continue
        out.update({"password key": pwk, "slot key": kek, "master key": master,
                    "export key": known.kdf(kek, "tain1.export", vault, slot, 32)})
        if content:
            out["hash of the keyfile"] = known.h(content)
        for label in ("hdrmac", "record", "content", "journal", "set", "dirhash", "xk", "ring"):
            out[f"subkey {label}"] = known.kdf(master, f"tain1.{label}", vault, epoch, 32)
        return out
    sys.exit("no slot opens with that")


class Needles:
    def __init__(self):
        self.all = {}

    def add(self, label, value):
        raw = value.encode() if isinstance(value, str) else value
        assert 2 * len(raw) <= NEEDLE_MAX
        self.all[raw] = label
        self.all[raw.hex().encode()] = label + " in hexadecimal"
        if isinstance(value, str):
            self.all[value.encode("utf-16-le")] = label + " in UTF-16"

    def add_keys(self, prefix, keys):
        for label, value in keys.items():
            self.add(f"{prefix}: {label}", value)

    def add_words(self, label, words):
        for i in range(13):
            self.all[" ".join(words[i:i + 3]).encode()] = f"{label} {i + 1} to {i + 3}"
        for i, word in enumerate(words):
            self.all[f" {i + 1} {word} ".encode()] = f"{label} {i + 1} with its number"

    def found_in(self, content):
        return sorted({label for needle, label in self.all.items() if needle in content})


needles = Needles()
failures = []


def check(run, may_write=()):
    """`may_write`: parts of names of files, or kinds of descriptors, that secrets are for."""
    for content, where, when in run.memory.values():
        for label in needles.found_in(content):
            failures.append(f"{run.what}: {label} in {where} at {when}")
            if KEPT:
                with open(f"{KEPT}/{len(failures)}", "wb") as f:
                    f.write(content)
    for where, content in run.written:
        for label in needles.found_in(content):
            if not any(part in where for part in may_write):
                failures.append(f"{run.what}: wrote {label} to {where}")


def header_of(vault=VAULT):
    with open(f"{vault}/header", "rb") as f:
        return f.read()


def secret_file(name, text):
    with open(f"{WORK}/{name}", "wb", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    return f"{WORK}/{name}"


def ok(text):
    if failures:
        sys.exit("\n".join(sorted(set(failures))[:FAILURES_SHOWN]))
    print(f"  ok: {text}", flush=True)


def json_of(*words):
    import json
    return json.loads(subprocess.run([TAIN, *words], check=True, stdout=subprocess.PIPE).stdout)


def parent_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(next(line for line in f if line.startswith("PPid:")).split()[1])


def holder(vault=VAULT):
    with open(f"{vault}/lock") as f:
        return int(f.readline())


def search_process(pid):
    """(what is found outside the arena, what inside)."""
    outside, inside = Run(f"the memory of {comm(pid)}"), []
    outside.look_at(pid, "while mounted")
    for start, end, _, is_left_out in regions(pid):
        if is_left_out:
            inside += needles.found_in(memory_of(pid, start, end - start))
    return outside, set(inside)


def processes_of_tain():
    return {int(p) for p in os.listdir("/proc") if p.isdigit() and is_tain(int(p))}


def nothing_on_disk():
    """What is called so is there to keep secrets: devices, sheets, files of passwords."""
    for top, folders, names in os.walk(WORK):
        folders[:] = [name for name in folders if not name.startswith("device-")]
        for name in names + folders:
            path = f"{top}/{name}"
            if name.startswith(("secret-", "sheet", "heard")) or os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                for label in needles.found_in(f.read()):
                    failures.append(f"{label} in {path}")
    ok("nothing on the disk but where it was put")
