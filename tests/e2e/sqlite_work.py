#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the sqlite family does to a database: sqlite_work.py VERB FILE [ARGS]."""
import os
import random
import signal
import sqlite3
import sys
import time


def connect(file):
    db = sqlite3.connect(file, timeout=30, isolation_level=None)
    db.execute("PRAGMA synchronous=FULL")
    return db


def add(db, count):
    """`count` transactions of one row each, numbered on from what is there."""
    start = db.execute("SELECT coalesce(max(id), 0) FROM t").fetchone()[0]
    for i in range(start + 1, start + count + 1):
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t VALUES (?, ?)", (i, f"row {i} " * (i % 50)))
        db.execute("COMMIT")
        yield i


def fill(file, mode, count):
    db = connect(file)
    got = db.execute(f"PRAGMA journal_mode={mode}").fetchone()[0]
    assert got == mode, f"journal_mode is {got}"
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
    for _ in add(db, int(count)):
        pass
    db.close()


def count(file):
    db = connect(file)
    rows = db.execute("SELECT count(*) FROM t").fetchone()[0]
    db.close()
    print(rows)


def check(file, wanted):
    db = connect(file)
    result = db.execute("PRAGMA integrity_check").fetchall()
    assert result == [("ok",)], result
    rows, last = db.execute("SELECT count(*), max(id) FROM t").fetchone()
    assert rows == last and rows >= int(wanted), f"{rows} rows, last {last}, wanted {wanted}"
    for number, text in db.execute("SELECT id, text FROM t"):
        assert text == f"row {number} " * (number % 50), f"row {number}"
    db.close()
    return rows


def readers(file, more):
    """Two processes read while a third writes; every reader sees whole transactions only."""
    children = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            try:
                db = connect(file)
                for _ in range(30):
                    rows, last = db.execute("SELECT count(*), max(id) FROM t").fetchone()
                    assert rows == last
                os._exit(0)
            except BaseException as error:  # pylint: disable=broad-except
                print(error, file=sys.stderr)
                os._exit(1)
        children.append(pid)
    db = connect(file)
    for _ in add(db, int(more)):
        pass
    db.close()
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0, "a reader failed"


def killed(file, rounds):
    """Kills a writer at some moment; what it had reported as committed must be there."""
    moments = random.Random(7)
    for _ in range(int(rounds)):
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(out)
            for number in add(connect(file), 1_000_000):
                os.write(into, b"%d\n" % number)
            os._exit(0)
        os.close(into)
        os.read(out, 1)  # it has begun
        time.sleep(moments.uniform(0.05, 0.3))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        reported = b"0\n"
        while chunk := os.read(out, 65536):
            reported += chunk
        os.close(out)
        check(file, reported.split(b"\n")[-2])


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
