#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Searches files for words: search_bytes.py FOLDER..., with lines LABEL=WORD on stdin.

Looks at every byte of every file and at the names, for each word as UTF-8, UTF-16 (both orders), hexadecimal, base64
(all three alignments) and reversed. Prints `LABEL SPELLING PLACE` for each hit. A word that crosses the edge of a
piece is found too.
"""
import base64
import os
import sys

PIECE = 16 << 20


def spellings(word):
    raw = word.encode()
    yield "utf-8", raw
    yield "reversed", raw[::-1]
    yield "utf-16-le", word.encode("utf-16-le")
    yield "utf-16-be", word.encode("utf-16-be")
    yield "hex", raw.hex().encode()
    for shift in range(3):
        # Cut what depends on the neighbours.
        encoded = base64.b64encode(bytes(shift) + raw)
        yield f"base64+{shift}", encoded[4 if shift else 0:-4]


def main():
    words = [line.rstrip("\n").split("=", 1) for line in sys.stdin]
    needles = [(label, how, needle) for label, word in words for how, needle in spellings(word)]
    longest = max(len(needle) for _, _, needle in needles)
    hits = set()
    for top in sys.argv[1:]:
        for folder, folders, names in os.walk(top):
            for name in folders + names:
                for label, how, needle in needles:
                    if needle in os.fsencode(name):
                        hits.add((label, how, f"a name in {folder}"))
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.isfile(path) or os.path.islink(path):
                    continue
                with open(path, "rb") as f:
                    tail = b""
                    while piece := f.read(PIECE):
                        text = tail + piece
                        for label, how, needle in needles:
                            if needle in text:
                                hits.add((label, how, path))
                        tail = text[-longest:]
    for hit in sorted(hits):
        print(*hit)


if __name__ == "__main__":
    main()
