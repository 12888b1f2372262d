#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a vault with recovery words at a terminal, as a person does, and lists it with them: recovery_terminal.py TAIN VAULT."""
import os
import pty
import re
import select
import sys
import time

LIMIT_S = 60


class Program:
    """A program on a terminal of its own."""

    def __init__(self, *words):
        self.shown = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(words[0], words)

    def wait_for(self, pattern, start=0):
        """The first match in what is shown from `start` on."""
        end = time.monotonic() + LIMIT_S
        while True:
            match = re.compile(pattern).search(self.shown, start)
            if match:
                return match
            if time.monotonic() > end or not select.select([self.fd], [], [], LIMIT_S)[0]:
                sys.exit(f"waited for {pattern}, got {self.shown!r}")
            try:
                self.shown += os.read(self.fd, 65536)
            except OSError:
                sys.exit(f"ended instead of {pattern}: {self.shown!r}")

    def type(self, text):
        os.write(self.fd, text.encode() + b"\n")

    def finish(self):
        try:
            while True:
                self.shown += os.read(self.fd, 65536)
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def main():
    tain, vault = sys.argv[1:]
    init = Program(tain, "init", "--kdf-time", "0", "--recovery", vault)
    init.wait_for(rb"Password for the new vault: ")
    init.type("a password")
    init.wait_for(rb"Repeat it: ")
    init.type("a password")
    at = init.wait_for(rb"Type word (\d+) ")
    words = {int(n): w.decode() for n, w in re.findall(rb"(\d+) ([a-z]+)", init.shown[:at.start()].split(b"numbers:")[1])}
    assert sorted(words) == list(range(1, 16)), words
    for i in range(3):
        init.type(words[int(at.group(1))])
        if i < 2:
            at = init.wait_for(rb"Type word (\d+) ", at.end())
    assert init.finish() == 0, init.shown
    after = init.shown[at.end():].decode()
    assert not any(re.search(rf"\b{n} +{word}\b", after) for n, word in words.items()), "words are shown once"

    ls = Program(tain, "ls", "--recovery", vault)
    at = ls.wait_for(rb"from word 1 of 15 on: ")
    ls.type(" ".join(words[i] for i in range(1, 8)))
    ls.wait_for(rb"from word 8 of 15 on: ")
    ls.type(" ".join(words[i] for i in range(8, 16)))
    assert ls.finish() == 0, ls.shown
    assert f"{words[9]} {words[10]}".encode() not in ls.shown, "what is typed is not shown"


if __name__ == "__main__":
    main()
