#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where secrets are while tain runs, and that they are nowhere else: secret_search.py TAIN WORK VECTORS [--every-call].

Runs commands of tain under ptrace, and looks at them at many of their system calls (with --every-call at all) and at their
very end: into all writable memory that a core dump would have, that is, outside the arena of guarded pages. What they write or
send, to whatever descriptor, is kept too. Afterwards the password, keyfiles, recovery words, the master key and all
that is derived from them are looked for in it. They are worked out here, from the header and the password, by the script of
the known answers (VECTORS/make_vectors.py). Then the same with a mount, before and after it is locked.
It needs root, and prints a line for each thing that is well; exits 1 with what was found, where.
"""
import ctypes
import hashlib
import os
import pty
import re
import resource
import select
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
PAGE, NEEDLE_MAX = 4096, 256  # bytes
# The processes in which libraries handle keys that they do not wipe (cli/child.h). They end at once, and leave no core; what
# they write goes to the process that started them.
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

    def look_at(self, pid, when):
        if comm(pid) == CHILD:
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
        if where.startswith("pipe:") and comm(pid) == CHILD:
            return
        self.written.append((where, b"".join(memory_of(pid, at, size) for at, size in parts)))


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return "?"


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
                    if EVERY_CALL or call in LOOKED_AT:
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


# --- the commands --------------------------------------------------------------------------------------------------
def decode_words(words):
    numbers = [known_words().index(word) for word in words]
    bits = "".join(f"{n:011b}" for n in numbers)
    return int(bits[:160], 2).to_bytes(20, "big")


_words = []


def known_words():
    """The list, as the program has it: four thousand bytes of words, one after the other."""
    if not _words:
        with open(f"{VECTORS}/recovery_word_list.cc", encoding="utf-8") as f:
            _words.extend(re.findall(r'"([a-z]+)"', f.read()))
    return _words


def sheet_words(path):
    with open(path, encoding="utf-8") as f:
        rows = dict((int(n), w) for n, w in re.findall(r"(\d+) ([a-z]+)", f.read().split("made")[1].split("Whoever")[0]))
    return [rows[i] for i in range(1, 16)]


def main():
    password, second, third, typed = (f"p-{canary()}" for _ in range(4))
    keyfile = os.urandom(64)
    for label, value in (("the password", password), ("the second password", second), ("the third password", third),
                         ("the typed password", typed), ("the keyfile", keyfile)):
        needles.add(label, value)
    first_file, second_file, third_file = (secret_file(f"secret-{i}", v) for i, v in enumerate((password, second, third)))
    keyfile_path = secret_file("secret-keyfile", keyfile)
    cheap = ["--kdf-time", "0"]

    # The control: what is not in the arena is found.
    control = Run("control")
    needles.add("a canary of this script", here := f"c-{canary()}")
    control.look_at(os.getpid(), "now")
    if not any(needles.found_in(content) for content, _, _ in control.memory.values()):
        sys.exit("the search finds nothing where there is something")
    del here

    runs = [traced("init", ["init", *cheap, "--passfile", first_file, "--recovery", "--sheet", f"{WORK}/sheet", VAULT])]
    words = sheet_words(f"{WORK}/sheet")
    needles.add_words("the recovery words", words)
    needles.add("the recovery secret", decode_words(words))
    words_file = secret_file("secret-words", " ".join(words))
    needles.add_keys("first header", keys_of(header_of(), password.encode()))
    needles.add_keys("first header, recovery", keys_of(header_of(), decode_words(words)))
    check(runs[0], may_write=["/sheet"])
    ok(f"init: {runs[0].calls} system calls, {len(runs[0].memory)} different pages of memory")

    run = traced("init that shows its words", ["init", *cheap, "--passfile", first_file, "--recovery", f"{WORK}/other"])
    shown = re.search(rb"(?m)^(?:[a-z]+ ){14}[a-z]+ ?$", run.output).group().decode().split()
    needles.add_words("the shown recovery words", shown)
    needles.add("the shown recovery secret", decode_words(shown))
    needles.add_keys("other vault", keys_of(header_of(f"{WORK}/other"), password.encode()))
    check(run, may_write=["pipe:"])
    ok("words that are shown stay in no buffer")

    fd = os.open(first_file, os.O_RDONLY)
    for run in (
            traced("key add", ["key", "add", *cheap, "--passcmd", f"cat {first_file}", "--new-passcmd", f"cat {second_file}", VAULT, "password"]),
            traced("key add keyfile", ["key", "add", *cheap, "--passfile", first_file, "--new-passfile", third_file, "--new-keyfile", keyfile_path, VAULT, "keyfile"]),
            traced("ls from stdin", ["ls", VAULT], stdin=password.encode() + b"\n"),
            traced("ls from a descriptor", ["ls", "--pass-fd", str(fd), VAULT], pass_fds=[fd]),
            traced("ls by the environment", ["ls", VAULT], env={"TAIN_PASSFILE": first_file}),
            traced("ls with recovery words", ["ls", "--recovery", "--passfile", words_file, VAULT]),
            traced("ls with words as password", ["ls", "--passfile", words_file, VAULT]),
            traced("ls with a keyfile", ["ls", "--keyfile", keyfile_path, "--passfile", third_file, VAULT]),
            traced("a wrong password", ["ls", "--passfile", secret_file("secret-wrong", typed), VAULT], wanted=12),
            traced("check", ["check", "--passfile", first_file, VAULT]),
            traced("header backup", ["header", "backup", VAULT, f"{WORK}/backup"])):
        runs.append(run)
    header = header_of()
    needles.add_keys("second password", keys_of(header, second.encode()))
    needles.add_keys("third password", keys_of(header, third.encode(), keyfile))
    for run in runs[1:]:
        check(run)
    ok(f"key add, ls by every way in, check, header backup: {sum(run.calls for run in runs[1:])} system calls")

    run = traced("passwd at a terminal", ["passwd", *cheap, VAULT],
                 typed=[("Password", password), ("New password", typed), ("Repeat", typed)])
    needles.add_keys("typed password", keys_of(header_of(), typed.encode()))
    check(run)
    run = traced("ls with words at a terminal", ["ls", "--recovery", VAULT], typed=[("from word 1", " ".join(words[:8])), ("from word 9", " ".join(words[8:]))])
    check(run)
    run = traced("init at a terminal", ["init", *cheap, f"{WORK}/terminal"], typed=[("Password", second), ("Repeat", second)])
    needles.add_keys("terminal vault", keys_of(header_of(f"{WORK}/terminal"), second.encode()))
    check(run)
    typed_file = secret_file("secret-typed", typed)
    ok("what is typed")

    os.unlink(f"{VAULT}/header")
    os.unlink(f"{VAULT}/header.bak")
    check(traced("header restore", ["header", "restore", "--passfile", first_file, VAULT, f"{WORK}/backup"]))
    check(traced("passwd", ["passwd", *cheap, "--passfile", first_file, "--new-passfile", typed_file, VAULT]))
    needles.add_keys("new password", keys_of(header_of(), typed.encode()))
    slots = json_of("key", "list", "--json", VAULT)
    check(traced("key remove", ["key", "remove", "--passfile", typed_file, VAULT, next(s["slot"] for s in slots if s["type"] == "keyfile")]))
    run = traced("key rotate", ["key", "rotate", "--void-others", "--passfile", typed_file, VAULT])
    needles.add_keys("after key rotate", keys_of(header_of(), typed.encode()))
    check(run)
    ok("header restore, passwd, key remove, key rotate")

    mount_and_lock(typed_file)
    no_core(typed_file)
    nothing_on_disk()


def json_of(*words):
    import json
    return json.loads(subprocess.run([TAIN, *words], check=True, stdout=subprocess.PIPE).stdout)


def parent_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(next(line for line in f if line.startswith("PPid:")).split()[1])


def holder():
    with open(f"{VAULT}/lock") as f:
        return int(f.readline())


def search_process(pid):
    """(what is found outside the arena, what inside)."""
    outside, inside = Run(f"the memory of {comm(pid)}"), []
    outside.look_at(pid, "while mounted")
    for start, end, _, is_left_out in regions(pid):
        if is_left_out:
            inside += needles.found_in(memory_of(pid, start, end - start))
    return outside, set(inside)


def mount_and_lock(passfile):
    run = traced("mount", ["mount", "--passfile", passfile, VAULT, MNT], stays=True)
    check(run)
    pid = holder()
    supervisor = parent_of(pid)
    for i in range(50):
        with open(f"{MNT}/file-{i}", "w") as f:
            f.write(f"{i}" * 1000)
            os.fsync(f.fileno())
    os.listdir(MNT)
    outside, inside = search_process(pid)
    check(outside)
    if "after key rotate: subkey record" not in inside:
        sys.exit(f"the serving process does not have in its arena what it works with: {sorted(inside)}")
    kept = sorted(label for label in inside if "password" in label.split(":")[-1] or "slot key" in label or "master key" in label)
    if kept:
        failures.append(f"mount: {', '.join(kept)} in the arena, which serving does not need")
    outside, inside = search_process(supervisor)
    check(outside)
    if inside:
        failures.append(f"mount: {sorted(inside)} in the supervisor")
    for process in (pid, supervisor):
        with open(f"/proc/{process}/limits") as f:
            core = next(line for line in f if line.startswith("Max core file size")).split()[4:6]
        if core != ["0", "0"]:
            failures.append(f"mount: process {process} may leave a core of {core}")
    check(traced("passwd of a mounted vault", ["passwd", "--kdf-time", "0", "--passfile", passfile, "--new-passfile", passfile, MNT]))
    ok("a mount has its keys in the arena, and nowhere else")

    check(traced("unmount", ["unmount", MNT]))
    alive = [p for p in os.listdir("/proc") if p.isdigit() and is_tain(int(p))]
    if alive:
        failures.append(f"after the lock these live: {alive}")
    ok("after the lock no process is left")


def no_core(passfile):
    """Who kills it, even with the limit on cores taken away, gets none."""
    folder = f"{WORK}/cores"
    os.mkdir(folder)

    def death_of(words):
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)))
        time.sleep(0.5)  # it waits for its password command, which does not come to an end
        try:
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (-1, -1))
        except PermissionError:
            print("  (the limit on cores stays: this root may not raise it)")
        os.kill(process.pid, signal.SIGSEGV)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = 0
        if not os.WIFSIGNALED(status):
            sys.exit(f"{words} ended with {status} before it could be killed")
        return os.WCOREDUMP(status)

    if not death_of(["/bin/sleep", "100"]):
        print("  (no core of anything here: the system makes none)")
    if death_of([TAIN, "ls", "--passcmd", "sleep 3", VAULT]):
        failures.append("a killed command left a core")
    left = [name for name in os.listdir(folder) if os.path.getsize(f"{folder}/{name}")]
    for name in left:
        with open(f"{folder}/{name}", "rb") as f:
            for label in needles.found_in(f.read()):
                failures.append(f"{label} in a core")
    ok("no core of a killed command")


def nothing_on_disk():
    for top, folders, names in os.walk(WORK):
        for name in names + folders:
            path = f"{top}/{name}"
            if name.startswith(("secret-", "sheet", "heard")) or os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                for label in needles.found_in(f.read()):
                    failures.append(f"{label} in {path}")
    ok("nothing on the disk but where it was put")


main()
