#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the rules that no compiler checks: include arrows, sole importers, file sizes, forbidden words.

Usage: layering_test.py [ROOT]. Prints one line for each violation and a count; exits 1 if there is any.
It first runs itself over a synthetic tree that breaks every rule once, so a rule that cannot fail is noticed.
"""
import fnmatch
import os
import re
import sys
import tempfile

# What each layer may include. fs and sync never include each other: they meet in store's change feed.
LAYERS = {
    "base": {"base"},
    "store": {"store", "base"},
    "fs": {"fs", "store", "base"},
    "sync": {"sync", "store", "base"},
    "cli": {"cli", "fs", "sync", "store", "base"},
}

# The only files that may include a foreign header. ARCHITECTURE.md shows the same table to people.
SOLE_IMPORTERS = {
    r"fuse.*\.h|fuse3/.*": ["fs/session.cc", "fs/fuse_session.cc", "fs/ops*.cc", "fs/ops*.h", "fs/reply.h", "fs/init_reply.cc",
                             "fs/fuse_device.cc", "fs/fuse_version.cc"],
    r"lmdb\.h": ["store/lmdb.h", "store/lmdb.cc", "store/versions.cc"],
    r"sodium(/.*)?\.h": ["base/secret.h", "base/secret.cc", "store/cipher.cc", "store/seal.cc", "store/remote_cipher.cc", "store/kdf.cc",
                         "store/header*.cc", "store/versions.cc"],
    r"xxhash\.h": ["store/cipher.cc", "store/versions.cc"],
    r"nlohmann/.*": ["cli/*", "fs/control.h", "fs/control.cc"],
    r"systemd/.*": ["fs/logind.cc"],
    r"seccomp\.h": ["fs/confine_system_calls.cc"],
    r"qrencode\.h": ["cli/qr_code.cc"],
    r"libsecret/.*": ["cli/keyring.cc"],
    r"tss2/.*": ["cli/tpm2.cc"],
    r"fido.*\.h|fido/.*": ["cli/fido2.cc"],
    r"dlfcn\.h": ["cli/library.h"],
    r"curl/.*": ["sync/http.h", "sync/http.cc"],
}

LINES_MAX = 600
SOURCE = (".h", ".cc", ".py", ".sh", ".cmake", "CMakeLists.txt")
TEXT = SOURCE + (".md", ".json", ".yml", ".clang-tidy", ".clang-format")
SKIPPED_FOLDERS = {".git", "build", ".cache", "__pycache__"}

# Spelled in pieces, so that this file does not break its own rules.
UNFINISHED = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|X" + "XX" + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.~}])/(work|root|home/(?!(?:you|u)/)\w+|Users/\w+)/")
WEAK_RANDOM = re.compile(r"std::mt19937|std::minstd_rand|std::random_device|\b(?:s?rand|drand48)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def is_script(path):
    """Shell and Python programs without a suffix."""
    with open(path, "rb") as f:
        return f.read(2) == b"#!"


def all_files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(d for d in folders if d not in SKIPPED_FOLDERS)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield os.path.relpath(path, root)


def check_includes(name, lines):
    layer = name.split("/")[0]
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, header = match.groups()
        if quote == '"':
            target = header.split("/")[0]
            if "/" not in header or target not in LAYERS:
                yield number, f'include "{header}" is not written from the root'
            elif target not in LAYERS[layer]:
                yield number, f"{layer}/ includes {target}/: arrows point down only"
        for pattern, importers in SOLE_IMPORTERS.items():
            if re.fullmatch(pattern, header) and not any(fnmatch.fnmatch(name, i) for i in importers):
                yield number, f"<{header}> is only for {', '.join(importers)}"


def check_file(root, name):
    """Yields (line, message) for each violation in one file."""
    path = os.path.join(root, name)
    is_source = name.endswith(SOURCE) or is_script(path)
    if not (is_source or name.endswith(TEXT)):
        return
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    if is_source and not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:3]):
        yield 1, "no SPDX line at the top"
    for number, line in enumerate(lines, 1):
        if is_source and UNFINISHED.search(line):
            yield number, "unfinished work: do it or open an issue"
        if MACHINE_PATH.search(line):
            yield number, "path of somebody's machine"
    if name.split("/")[0] in LAYERS and name.endswith((".h", ".cc")):
        if len(lines) > LINES_MAX:
            yield len(lines), f"{len(lines)} lines: more than {LINES_MAX}, split the file"
        for number, line in enumerate(lines, 1):
            if WEAK_RANDOM.search(line.split("//")[0]):
                yield number, "not a cryptographic random generator: use base/secret.h"
        yield from check_includes(name, lines)


def check_tree(root):
    found = []
    for name in all_files(root):
        found += [f"{name}:{number}: {message}" for number, message in check_file(root, name)]
    return found


# One violation each: file, content, and a piece of the message it must cause. The empty message: no violation.
SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
SYNTHETIC = [
    ("base/up.cc", SPDX + '#include "store/tree.h"\n', "base/ includes store/"),
    ("store/up.cc", SPDX + '#include "fs/session.h"\n', "store/ includes fs/"),
    ("fs/side.cc", SPDX + '#include "sync/remote.h"\n', "fs/ includes sync/"),
    ("sync/side.cc", SPDX + '#include "fs/session.h"\n', "sync/ includes fs/"),
    ("fs/up.cc", SPDX + '#include "cli/terminal.h"\n', "fs/ includes cli/"),
    ("fs/relative.cc", SPDX + '#include "session.h"\n', "not written from the root"),
    ("fs/filesystem.cc", SPDX + "#include <fuse_lowlevel.h>\n", "<fuse_lowlevel.h> is only for"),
    ("store/tree.cc", SPDX + "#include <lmdb.h>\n", "<lmdb.h> is only for"),
    ("store/content.cc", SPDX + "#include <sodium.h>\n", "<sodium.h> is only for"),
    ("store/journal.cc", SPDX + "#include <xxhash.h>\n", "<xxhash.h> is only for"),
    ("store/state.cc", SPDX + "#include <nlohmann/json.hpp>\n", "<nlohmann/json.hpp> is only for"),
    ("cli/http.cc", SPDX + "#include <curl/curl.h>\n", "<curl/curl.h> is only for"),
    ("cli/sheet.cc", SPDX + "#include <qrencode.h>\n", "<qrencode.h> is only for"),
    ("base/bare.h", "#pragma once\n", "no SPDX line"),
    ("contrib/tool", "#!/bin/sh\ntrue\n", "no SPDX line"),
    ("store/long.cc", SPDX + "\n" * LINES_MAX, "split the file"),
    ("cli/later.cc", SPDX + "// TO" + "DO: later\n", "unfinished work"),
    ("store/dice.cc", SPDX + "int dice() { return rand(); }\n", "not a cryptographic random"),
    ("docs/here.md", "see /ro" + "ot/notes\n", "path of somebody's machine"),
    ("cli/good.cc", SPDX + '#include "fs/session.h"\n#include <nlohmann/json.hpp>\n', ""),
    ("store/lmdb.cc", SPDX + '#include "base/bytes.h"\n#include <lmdb.h>\nint operand(int x);\n', ""),
    ("tests/dice_test.cc", SPDX + "std::mt19937 engine;\n", ""),
]


def self_test():
    """Returns what the checker did wrong on the synthetic tree."""
    wrong = []
    with tempfile.TemporaryDirectory() as root:
        for name, content, _ in SYNTHETIC:
            os.makedirs(os.path.join(root, os.path.dirname(name)), exist_ok=True)
            with open(os.path.join(root, name), "w", encoding="utf-8") as f:
                f.write(content)
        found = check_tree(root)
    for name, _, expected in SYNTHETIC:
        messages = [line for line in found if line.startswith(name + ":")]
        if expected and not any(expected in line for line in messages):
            wrong.append(f"self-test: {name} should fail with '{expected}', got {messages}")
        if not expected and messages:
            wrong.append(f"self-test: {name} should pass, got {messages}")
    return wrong


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    root = sys.argv[1] if len(sys.argv) > 1 else here
    found = self_test() + check_tree(root)
    files = sum(1 for _ in all_files(root))
    for line in found:
        print(line)
    if not os.path.isfile(os.path.join(root, "base", "result.h")):
        found.append("nothing checked")
        print(f"{root}: not a source tree of tain")
    print(f"layering: {files} files, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
