#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A storm of namespace changes by several processes at once: storm.py --help.

Each process works in a tree of its own and keeps it in memory: files, folders, symbolic links, hard links, renames over
and into each other, exchanges, modes, sizes, attributes, and calls that must fail with a certain errno. All of them also
push tokens to and fro between two common folders. Afterwards each tree must be what its process remembers; after a kill,
what it was after some change since the last fsync. A token is never lost or doubled.
"""
import argparse
import ctypes
import errno
import json
import os
import random
import stat
import subprocess
import sys

RENAME_EXCHANGE = 2
AT_FDCWD = -100
TOKENS = 12
# What programs see when the serving process has been killed, and when its mount has been taken away.
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENOENT)
libc = ctypes.CDLL(None, use_errno=True)


def exchange(a, b):
    if libc.renameat2(AT_FDCWD, a.encode(), AT_FDCWD, b.encode(), RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), a)


class Node:
    """A file, folder or link; files and links may have several names."""

    def __init__(self, kind, mode=0, text=""):
        self.kind, self.mode, self.text, self.names, self.user = kind, mode, text, {}, None


class Tree:
    """What a tree must hold. Paths are tuples of names below the root."""

    def __init__(self):
        self.root = Node("dir", 0o755)

    def find(self, path):
        node = self.root
        for name in path:
            node = node.names[name]
        return node

    def folders(self):
        out, todo = [], [((), self.root)]
        while todo:
            path, node = todo.pop()
            out.append(path)
            todo += [(path + (n,), c) for n, c in node.names.items() if c.kind == "dir"]
        return out

    def entries(self):
        return [f + (n,) for f in self.folders() for n in self.find(f).names]

    def links(self):
        count = {}
        for path in self.entries():
            node = self.find(path)
            count[id(node)] = count.get(id(node), 0) + 1
        return count

    def picture(self):
        """Everything that a look at the disk can tell."""
        count, out = self.links(), {}
        for path in self.entries():
            node = self.find(path)
            links = 2 + sum(c.kind == "dir" for c in node.names.values()) if node.kind == "dir" else count[id(node)]
            out["/".join(path)] = [node.kind, node.mode if node.kind != "link" else 0, node.text, links, node.user]
        return out


def look(root):
    out = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            if stat.S_ISLNK(st.st_mode):
                kind, mode, text = "link", 0, os.readlink(path)
            elif stat.S_ISDIR(st.st_mode):
                kind, mode, text = "dir", stat.S_IMODE(st.st_mode), ""
            else:
                kind, mode = "file", stat.S_IMODE(st.st_mode)
                with open(path, "rb") as f:
                    text = f.read().decode()
            user = None
            if kind != "link":
                try:
                    user = os.getxattr(path, "user.storm").decode()
                except OSError as error:
                    if error.errno != errno.ENODATA:
                        raise
            out[os.path.relpath(path, root)] = [kind, mode, text, st.st_nlink, user]
    return out


class Worker:
    def __init__(self, mount, number, seed):
        self.mount, self.number = mount, number
        self.root = os.path.join(mount, f"w{number}")
        self.rng = random.Random(f"{seed}/{number}")
        self.tree = Tree()
        self.states = []

    def path(self, path):
        return os.path.join(self.root, *path)

    def fresh(self):
        folder = self.rng.choice(self.tree.folders())
        return folder + (f"{self.rng.choice('abcdefgh')}{self.rng.randrange(40)}",)

    def expect(self, code, call, *args):
        try:
            call(*args)
        except OSError as error:
            if self.until_killed and error.errno in GONE:
                raise
            if error.errno != code:
                sys.exit(f"storm: {call.__name__}{args}: {errno.errorcode.get(error.errno)}, not {errno.errorcode[code]}")
            return
        sys.exit(f"storm: {call.__name__}{args} succeeded instead of {errno.errorcode[code]}")

    def put(self, path, node):
        self.tree.find(path[:-1]).names[path[-1]] = node

    def will_be(self, path, node):
        self.put(path, node)
        self.note()

    def make(self):
        path = self.fresh()
        at, parent = self.path(path), self.tree.find(path[:-1])
        kind = self.rng.choice(["file", "file", "file", "dir", "dir", "link", "hard"])
        if path[-1] in parent.names:
            call = {"dir": os.mkdir, "link": lambda p: os.symlink("x", p)}.get(
                kind, lambda p: os.close(os.open(p, os.O_CREAT | os.O_EXCL | os.O_WRONLY)))
            self.expect(errno.EEXIST, call, at)
            return
        if kind == "dir":
            self.will_be(path, Node("dir", 0o700))
            os.mkdir(at, 0o700)
        elif kind == "link":
            text = "t" * self.rng.randrange(1, 200)
            self.will_be(path, Node("link", 0, text))
            os.symlink(text, at)
        elif kind == "hard":
            files = [p for p in self.tree.entries() if self.tree.find(p).kind != "dir"]
            if not files:
                return
            source = self.rng.choice(files)
            self.will_be(path, self.tree.find(source))
            os.link(self.path(source), at, follow_symlinks=False)
        else:
            text = "f" * self.rng.choice([0, 1, 100, 5000, 70000])
            self.will_be(path, Node("file", 0o640))
            fd = os.open(at, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
            if text:
                self.tree.find(path).text = text
                self.note()
                os.write(fd, text.encode())
            os.close(fd)

    def remove(self):
        entries = self.tree.entries()
        if not entries:
            return
        path = self.rng.choice(entries)
        node, at = self.tree.find(path), self.path(path)
        if node.kind == "dir" and node.names:
            self.expect(errno.ENOTEMPTY, os.rmdir, at)
            return
        if node.kind == "dir":
            self.expect(errno.EISDIR, os.unlink, at)
        else:
            self.expect(errno.ENOTDIR, os.rmdir, at)
        del self.tree.find(path[:-1]).names[path[-1]]
        self.note()
        (os.rmdir if node.kind == "dir" else os.unlink)(at)
        self.expect(errno.ENOENT, os.lstat, at)

    def rename(self):
        entries = self.tree.entries()
        if not entries:
            return
        source = self.rng.choice(entries)
        target = self.rng.choice(entries) if self.rng.random() < 0.5 else self.fresh()
        node, parent = self.tree.find(source), self.tree.find(target[:-1])
        there = parent.names.get(target[-1])
        a, b = self.path(source), self.path(target)
        if node is there:
            os.rename(a, b)  # the same file: nothing happens
            return
        if target[:len(source)] == source:
            self.expect(errno.EINVAL if node.kind == "dir" else errno.ENOTDIR, os.rename, a, b)
            return
        if there is not None and source[:len(target)] == target:
            self.expect(errno.ENOTEMPTY, os.rename, a, b)
            return
        if there is not None and self.rng.random() < 0.3:
            self.put(source, there)
            self.will_be(target, node)
            exchange(a, b)
            return
        if there is not None and node.kind == "dir" and there.kind != "dir":
            self.expect(errno.ENOTDIR, os.rename, a, b)
            return
        if there is not None and node.kind != "dir" and there.kind == "dir":
            self.expect(errno.EISDIR, os.rename, a, b)
            return
        if there is not None and there.names:
            self.expect(errno.ENOTEMPTY, os.rename, a, b)
            return
        del self.tree.find(source[:-1]).names[source[-1]]
        self.put(target, node)
        self.note()
        os.rename(a, b)

    def change(self):
        entries = [p for p in self.tree.entries() if self.tree.find(p).kind != "link"]
        if not entries:
            return
        path = self.rng.choice(entries)
        node, at = self.tree.find(path), self.path(path)
        what = self.rng.randrange(4)
        if what == 0:
            node.mode = self.rng.choice([0o700, 0o711, 0o755] if node.kind == "dir" else [0o600, 0o644, 0o666])
            self.note()
            os.chmod(at, node.mode)
        elif what == 1:
            node.user = "u" * self.rng.choice([1, 30, 3000])
            self.note()
            os.setxattr(at, "user.storm", node.user.encode())
        elif node.kind == "file":
            if what == 2:
                node.text = node.text[:self.rng.randrange(len(node.text) + 1)]
                self.note()
                os.truncate(at, len(node.text))
            else:
                more = "m" * self.rng.randrange(1, 3000)
                node.text += more
                self.note()
                with open(at, "ab", 0) as f:
                    f.write(more.encode())

    def push_tokens(self):
        """Another process may have been faster."""
        for _ in range(4):
            here, there = self.rng.sample(["left", "right"], 2)
            name = f"token{self.rng.randrange(TOKENS)}"
            try:
                os.rename(os.path.join(self.mount, here, name), os.path.join(self.mount, there, name))
            except FileNotFoundError:
                pass

    def note(self):
        """A state that is about to be: a kill may find it made or not."""
        self.states.append(self.tree.picture())

    def durable(self):
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)
        self.states = [self.tree.picture()]
        self.save()

    def save(self):
        with open(self.memory + ".new", "w", encoding="utf-8") as f:
            json.dump(self.states, f)
        os.rename(self.memory + ".new", self.memory)

    def run(self, memory, operations, until_killed):
        self.memory, self.until_killed = memory, until_killed
        os.mkdir(self.root, 0o755)
        self.durable()
        try:
            for n in range(operations):
                self.rng.choice([self.make, self.make, self.make, self.remove, self.rename, self.rename, self.change])()
                if n % 10 == 0:
                    self.push_tokens()
                if self.rng.random() < 0.01:
                    self.durable()
        except OSError as error:
            if not until_killed or error.errno not in GONE:
                raise
        if not until_killed:
            self.states = [self.tree.picture()]
        self.save()


def shell(command):
    subprocess.run(command, shell=True, check=True)


def compare(mount, folder, workers):
    for number in range(workers):
        with open(os.path.join(folder, f"memory{number}"), encoding="utf-8") as f:
            states = json.load(f)
        found = look(os.path.join(mount, f"w{number}"))
        if found in states:
            continue
        nearest = min(states, key=lambda s: len(set(map(str, s.items())) ^ set(map(str, found.items()))))
        wrong = sorted(set(map(str, nearest.items())) ^ set(map(str, found.items())))
        sys.exit(f"storm: tree {number} is none of the {len(states)} that it may be; nearest: " + "\n".join(wrong)[:2000])
    tokens = sorted(os.listdir(os.path.join(mount, "left")) + os.listdir(os.path.join(mount, "right")))
    if tokens != sorted(f"token{n}" for n in range(TOKENS)):
        sys.exit(f"storm: the tokens are {tokens}")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mount", required=True)
    options.add_argument("--folder", required=True, help="outside of the mount")
    options.add_argument("--seed", default="1")
    options.add_argument("--operations", type=int, default=1000, help="of each process")
    options.add_argument("--workers", type=int, default=4)
    options.add_argument("--unmount", required=True, help="command")
    options.add_argument("--remount", required=True, help="command")
    options.add_argument("--kill", help="command that kills the serving process, some time after the start")
    options.add_argument("--after", type=float, default=1.0, help="seconds until then")
    args = options.parse_args()

    for side in ("left", "right"):
        os.mkdir(os.path.join(args.mount, side))
    for n in range(TOKENS):
        with open(os.path.join(args.mount, "left", f"token{n}"), "w", encoding="utf-8"):
            pass
    os.sync()
    children = []
    for number in range(args.workers):
        pid = os.fork()
        if pid == 0:
            worker = Worker(args.mount, number, args.seed)
            worker.run(os.path.join(args.folder, f"memory{number}"), args.operations, bool(args.kill))
            os._exit(0)
        children.append(pid)
    if args.kill:
        shell(f"sleep {args.after}")
        shell(args.kill)
    bad = [pid for pid in children if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0]
    if bad:
        sys.exit(f"storm: {len(bad)} of {args.workers} processes failed")
    if not args.kill:
        compare(args.mount, args.folder, args.workers)
        shell(args.unmount)
    shell(args.remount)
    compare(args.mount, args.folder, args.workers)
    print(f"  ok: seed {args.seed}{', killed' if args.kill else ''}: {args.workers} trees as they should be")


main()
