#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a terminal program and types at it: typing.py [--show] [--quiet SECONDS] KEYS... -- PROGRAM ARGS...

--show prints what the program has drawn. Types each KEYS once the program has been quiet for SECONDS (0.3), then waits for its end. Exits with its status, or
with 124 if it has not ended 30 seconds after the last key.
"""
import os
import pty
import select
import signal
import sys
import time


def quiet(fd, seconds, limit, drawn):
    """Reads what the program draws into `drawn` until nothing has come for `seconds`; False when it has closed the terminal."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if not select.select([fd], [], [], seconds)[0]:
            return True
        try:
            text = os.read(fd, 65536)
            if not text:
                return False
            drawn += text
        except OSError:
            return False
    return True


def main():
    cut = sys.argv.index("--")
    keys, program = sys.argv[1:cut], sys.argv[cut + 1:]
    show = keys[:1] == ["--show"]
    keys = keys[1:] if show else keys
    seconds = float(keys[1]) if keys[:1] == ["--quiet"] else 0.3
    keys = keys[2:] if keys[:1] == ["--quiet"] else keys
    drawn = bytearray()
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(program[0], program)
    for key in keys:
        quiet(fd, seconds, 10, drawn)
        os.write(fd, os.fsencode(key))
    end = time.monotonic() + 30
    while quiet(fd, 0.3, 5, drawn) and time.monotonic() < end:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
    else:
        if time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            sys.exit(124)
    if show:
        sys.stdout.buffer.write(drawn)
        sys.stdout.flush()
    sys.exit(abs(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


if __name__ == "__main__":
    main()
