#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Work on a mount until the disk under it is full: diskfull.py MOUNT ORACLE untar|sqlite|saves|big [MEGABYTES].

What the file system acknowledged (fsync returned, sqlite committed) is kept in the folder ORACLE, which lies elsewhere;
`diskfull.py MOUNT ORACLE check` compares. The first refusal must be ENOSPC or EDQUOT. Prints how far it came.
"""
import errno
import hashlib
import os
import random
import sqlite3
import sys

FULL = (errno.ENOSPC, errno.EDQUOT)


def refused(error, what):
    if error.errno not in FULL:
        sys.exit(f"diskfull: {what}: {errno.errorcode.get(error.errno)} instead of ENOSPC")


def write_whole(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
        os.fsync(fd)
    finally:
        os.close(fd)


def acknowledge(oracle, name, data):
    with open(os.path.join(oracle, name), "wb") as f:
        f.write(hashlib.sha256(data).digest())


def saves(mount, oracle, rng):
    """Editors' way: temporary file, fsync, rename over."""
    for n in range(1000000):
        name = f"doc{n if n < 200 or n % 3 else n % 40}"
        data = rng.randbytes(rng.randrange(1000, 200000))
        try:
            write_whole(os.path.join(mount, name + ".tmp"), data)
            os.rename(os.path.join(mount, name + ".tmp"), os.path.join(mount, name))
            folder = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            refused(error, name)
            # What stands under the name now is the old content or the new one, whole.
            with open(os.path.join(oracle, name + ".or"), "wb") as f:
                f.write(hashlib.sha256(data).digest())
            return n
        acknowledge(oracle, name, data)


def untar(mount, oracle, rng):
    """Many files without fsync, then one each on its own: only those count."""
    for n in range(1000000):
        folder = os.path.join(mount, f"d{n // 50}")
        data = rng.randbytes(rng.randrange(100, 60000))
        try:
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, f"f{n}")
            if n % 7 == 0:
                write_whole(path, data)
                acknowledge(oracle, f"d{n // 50}%f{n}", data)
            else:
                with open(path, "wb", 0) as f:
                    f.write(data)
        except OSError as error:
            refused(error, f"file {n}")
            return n


def big(mount, oracle, rng):
    """One file that grows, with an fsync now and then."""
    fd = os.open(os.path.join(mount, "big"), os.O_WRONLY | os.O_CREAT, 0o600)
    done, digest = 0, hashlib.sha256()
    try:
        while True:
            data = rng.randbytes(300000)
            os.pwrite(fd, data, done)
            digest.update(data)
            done += len(data)
            if rng.random() < 0.2:
                os.fsync(fd)
                with open(os.path.join(oracle, "%big"), "wb") as f:
                    f.write(str(done).encode() + b" " + digest.hexdigest().encode())
    except OSError as error:
        refused(error, f"at {done}")
        return done
    finally:
        try:
            os.close(fd)
        except OSError as error:
            refused(error, "close")


def sqlite(mount, oracle, rng):
    path, n = os.path.join(mount, "db"), 0
    db = sqlite3.connect(path)
    try:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, x BLOB)")
        db.commit()
        for n in range(1000000):
            db.execute("INSERT OR REPLACE INTO t VALUES (?, ?)", (n, rng.randbytes(rng.randrange(1000, 250000))))
            db.commit()
            with open(os.path.join(oracle, "%db"), "wb") as f:
                f.write(str(n).encode())
    except sqlite3.Error as error:
        if not any(word in str(error) for word in ("full", "disk I/O error", "unable to open")):
            sys.exit(f"diskfull: sqlite says {error}")
        return n


def check(mount, oracle):
    checked = 0
    for name in sorted(os.listdir(oracle)):
        with open(os.path.join(oracle, name), "rb") as f:
            wanted = f.read()
        if name == "%db":
            db = sqlite3.connect(os.path.join(mount, "db"))
            if db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                sys.exit("diskfull: the database is damaged")
            if db.execute("SELECT max(n) FROM t").fetchone()[0] < int(wanted):
                sys.exit(f"diskfull: committed row {wanted.decode()} is missing")
        elif name == "%big":
            size, digest = wanted.decode().split()
            with open(os.path.join(mount, "big"), "rb") as f:
                if hashlib.sha256(f.read(int(size))).hexdigest() != digest:
                    sys.exit(f"diskfull: the first {size} bytes of big differ")
        elif not name.endswith(".or"):
            with open(os.path.join(mount, *name.split("%")), "rb") as f:
                found = hashlib.sha256(f.read()).digest()
            also = os.path.join(oracle, name + ".or")
            if found != wanted and not (os.path.exists(also) and open(also, "rb").read() == found):
                sys.exit(f"diskfull: {name} is not what was acknowledged")
        checked += 1
    return checked


def main():
    mount, oracle, what = sys.argv[1:4]
    if what == "check":
        print(f"  ok: {check(mount, oracle)} things acknowledged are there")
        return
    came = {"saves": saves, "untar": untar, "big": big, "sqlite": sqlite}[what](mount, oracle, random.Random(what))
    print(f"  ok: {what}: the disk was full after {came}")


main()
