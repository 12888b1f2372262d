# SPDX-License-Identifier: Apache-2.0
"""POSIX ACLs: what may be set, what it means for the mode, for access and for what is made in the folder."""
import os
import stat
import struct

from world import ANYONE, IS_ROOT, own, put, with_umask

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
TAGS = {"u": 1, "U": 2, "g": 4, "G": 8, "m": 16, "o": 32}
NOBODY = 0xffffffff


def acl(text, version=2):
    """"u7 U20002:6 g4 m6 o0" in the form of the extended attribute; capitals name a user or a group."""
    out = struct.pack("<I", version)
    for entry in text.split():
        head, _, permissions = entry.partition(":")
        if permissions:
            out += struct.pack("<HHI", TAGS[head[0]], int(permissions), int(head[1:]))
        else:
            out += struct.pack("<HHI", TAGS[head[0]], int(entry[1:]), NOBODY)
    return out


def shown(value):
    if len(value) < 4 or (len(value) - 4) % 8:
        return repr(value)
    names = {v: k for k, v in TAGS.items()}
    out = []
    for at in range(4, len(value), 8):
        tag, permissions, who = struct.unpack_from("<HHI", value, at)
        out.append(f"{names.get(tag, tag)}{who if who != NOBODY else ''}:{permissions}")
    return " ".join(out)


def acls_of(path):
    out = []
    for name in (ACCESS, DEFAULT):
        try:
            out.append(shown(os.getxattr(path, name)))
        except OSError as error:
            out.append(os.strerror(error.errno)[:12])
    return oct(stat.S_IMODE(os.stat(path).st_mode)), *out, sorted(os.listxattr(path))


VALID = ["u7 g5 o5", "u6 g4 o0", "u0 g0 o0", "u7 g7 o7", "u6 U20004:6 g4 m6 o0", "u6 U20004:6 g4 m4 o0", "u7 U20002:0 g5 m7 o5", "u6 g0 G20039:6 m6 o0", "u6 g7 G20010:1 G20039:2 m7 o0",
         "u6 U20002:4 U20003:6 U20004:7 g0 G20029:6 G20039:1 m7 o4", "u6 g4 m2 o4", "u6 U20004:7 g7 m0 o7", "u0 U20001:7 g0 m7 o0"]
INVALID = ["", "u7", "u7 g5", "g5 o5 u7", "u7 U20004:6 g4 o0", "u7 g5 o5 m7", "u7 u7 g5 o5", "u7 U20004:6 U20004:4 g5 m7 o5", "u7 U20004:6 U20003:4 g5 m7 o5", "u9 g5 o5", "u7 g5 o15",
           "u7 g5 m7 m7 o5", "u7 G20010:5 g5 m7 o5", "u7 g5 o5 o5"]


def value_cases(r):
    def build():
        put("f")
        os.mkdir("d")
        os.symlink("f", "l")
        os.mkfifo("p")
        for name in ("f", "d", "p"):
            own(name)

    def look():
        return acls_of("f"), acls_of("d"), acls_of("p")
    for text in VALID + INVALID:
        for name in (ACCESS, DEFAULT):
            for path in ("f", "d", "p"):
                r.case(f"set {name[17:]} of {path} to '{text}'", os.setxattr, path, name, acl(text), build=build, after=look)
    for label, value in {"version 1": acl("u7 g5 o5", 1), "version 3": acl("u7 g5 o5", 3), "short": acl("u7 g5 o5")[:-1], "long": acl("u7 g5 o5") + b"x", "empty": b"", "head": acl("")[:4],
                         "three bytes": b"\2\0\0", "bad tag": acl("u7 g5 o5").replace(b"\x20\0", b"\x40\0"), "zero tag": acl("u7 g5 o5") + bytes(8),
                         "id on owner": acl("u7 g5 o5").replace(b"\xff" * 4, b"\1\0\0\0", 1)}.items():
        for name in (ACCESS, DEFAULT):
            r.case(f"set {name[17:]} of d, {label}", os.setxattr, "d", name, value, build=build, after=look)
    many = "u6 " + " ".join(f"U{30000 + i}:4" for i in range(60)) + " g4 m7 o0"
    r.case("sixty users", os.setxattr, "f", ACCESS, acl(many), build=build, after=lambda: len(os.getxattr("f", ACCESS)))
    for flags in (os.XATTR_CREATE, os.XATTR_REPLACE):
        for there in (False, True):
            r.case(f"flags {flags}, {'there' if there else 'not there'}", os.setxattr, "d", DEFAULT, acl("u7 g5 o5"), flags,
                   build=lambda there=there: (build(), there and os.setxattr("d", DEFAULT, acl("u7 g7 o7"))), after=look)
    for name in (ACCESS, DEFAULT):
        for path in ("f", "d"):
            for first in (None, VALID[4]):
                def made(path=path, name=name, first=first):
                    build()
                    if first and (path == "d" or name == ACCESS):
                        os.setxattr(path, name, acl(first))
                r.case(f"remove {name[17:]} of {path} with {first}", os.removexattr, path, name, build=made, after=look)
                r.case(f"get {name[17:]} of {path} with {first}", lambda p=path, n=name: shown(os.getxattr(p, n)), build=made)
    for name in (ACCESS, DEFAULT):
        for path in ("l",):
            r.case(f"set {name[17:]} of a link", os.setxattr, path, name, acl(VALID[4]), follow_symlinks=False, build=build)
            r.case(f"get {name[17:]} of a link", os.getxattr, path, name, follow_symlinks=False, build=build)
            r.case(f"remove {name[17:]} of a link", os.removexattr, path, name, follow_symlinks=False, build=build)


def mode_cases(r):
    """chmod moves the mask, an ACL moves the mode, chown leaves both."""
    for text in VALID:
        def build(text=text):
            put("f")
            os.mkdir("d")
            for name in ("f", "d"):
                own(name)
                os.setxattr(name, ACCESS, acl(text))

        def look():
            return acls_of("f"), acls_of("d")
        for mode in (0, 0o777, 0o640, 0o070, 0o707, 0o6755, 0o1777):
            r.case(f"chmod {mode:04o} with '{text}'", lambda m=mode: (os.chmod("f", m), os.chmod("d", m)), build=build, after=look)
        r.case(f"chown with '{text}'", lambda: os.chown("f", -1, 20028), build=build, after=look)
        r.case(f"rename, link, write with '{text}'", lambda: (os.rename("f", "g"), os.link("g", "h"), os.rename("g", "f"), put("f", b"x")), build=build, after=look)
        r.case(f"minimal after '{text}'", lambda: os.setxattr("f", ACCESS, acl("u6 g4 o2")), build=build, after=look)


def access_cases(r):
    """Every user, every right, through ACLs: as the file's mode alone would not give it."""
    if not IS_ROOT:
        return
    operations = {
        "r": lambda: os.close(os.open("f", os.O_RDONLY)), "w": lambda: os.close(os.open("f", os.O_WRONLY)), "x": lambda: os.access("f", os.X_OK),
        "list": lambda: sorted(os.listdir("d")), "search": lambda: os.stat("d/x").st_size, "create": lambda: put("d/new"), "unlink": lambda: os.unlink("d/x"),
        "set acl": lambda: os.setxattr("f", ACCESS, acl("u7 g7 o7")), "remove acl": lambda: os.removexattr("f", ACCESS), "get acl": lambda: shown(os.getxattr("f", ACCESS)),
        "set default": lambda: os.setxattr("d", DEFAULT, acl("u7 g7 o7")), "utimes": lambda: os.utime("f"), "setxattr": lambda: os.setxattr("f", "user.a", b"b"),
    }
    for text in VALID:
        def build(text=text):
            put("f", b"content")
            os.mkdir("d")
            put("d/x")
            for name in ("f", "d", "d/x"):
                own(name)
            for name in ("f", "d"):
                os.setxattr(name, ACCESS, acl(text))
        for who in ANYONE:
            for name, operation in operations.items():
                r.case(f"{name} with '{text}'", operation, build=build, who=who)
    for mode in (0o2775, 0o6755, 0o2644):  # set-group-id goes when an owner outside the group sets an ACL
        def build_sgid(mode=mode):
            put("f")
            own("f")
            os.chmod("f", mode)
            os.mkdir("d")
            own("d")
            os.chmod("d", mode)
        for who in ANYONE:
            for path, name in (("f", ACCESS), ("d", ACCESS), ("d", DEFAULT)):
                r.case(f"set {name[17:]} on {path} of {mode:04o}", os.setxattr, path, name, acl(VALID[4]), build=build_sgid, after=lambda: (acls_of("f"), acls_of("d")), who=who)
                r.case(f"set plain {name[17:]} on {path} of {mode:04o}", os.setxattr, path, name, acl(VALID[0]), build=build_sgid, after=lambda: (acls_of("f"), acls_of("d")), who=who)


def inherit_cases(r):
    """A folder's default ACL takes the place of the umask for what is made in it."""
    makers = {
        "file": lambda m: os.close(os.open("d/n", os.O_CREAT | os.O_EXCL | os.O_WRONLY, m)), "folder": lambda m: os.mkdir("d/n", m), "fifo": lambda m: os.mkfifo("d/n", m),
        "node": lambda m: os.mknod("d/n", stat.S_IFREG | m), "socket": lambda m: os.mknod("d/n", stat.S_IFSOCK | m), "link": lambda m: os.symlink("/", "d/n"),
        "tmpfile": lambda m: tmpfile(m),
    }

    def tmpfile(mode):
        fd = os.open("d", os.O_TMPFILE | os.O_RDWR, mode)
        out = acls_of(fd)
        os.close(fd)
        return out
    for text in VALID:
        for folder in (0o777, 0o2777):
            def build(text=text, folder=folder):
                os.mkdir("d")
                own("d")
                os.chmod("d", folder)
                os.setxattr("d", DEFAULT, acl(text))
            for mode in (0o777, 0o666, 0o640, 0, 0o7777):
                for mask in (0, 0o077):
                    for name, make in makers.items():
                        r.case(f"{name} {mode:04o} umask {mask:04o} in {folder:04o} with '{text}'", with_umask(mask, make, mode), build=build, who="other" if IS_ROOT and mask else None,
                               after=lambda: acls_of("d/n") if os.path.lexists("d/n") and not os.path.islink("d/n") else None)

    def deep():
        os.makedirs("d/a/b/c")
        put("d/a/b/c/f")
        return acls_of("d/a/b"), acls_of("d/a/b/c"), acls_of("d/a/b/c/f")
    r.case("a default ACL goes all the way down", deep, build=lambda: (os.mkdir("d"), os.setxattr("d", DEFAULT, acl(VALID[4]))))


GROUPS = {"acl_values": value_cases, "acl_modes": mode_cases, "acl_access": access_cases, "acl_inheritance": inherit_cases}
