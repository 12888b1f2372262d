#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The worked examples of docs/remote-protocol.md, computed from that page alone.

Shares the primitives of make_vectors.py, no code with tain. tests/sync/protocol_test.cc compares what tain makes with the
same page.

Usage: remote_examples.py            prints the examples as they stand on the page
       remote_examples.py --check    compares them with the page; exits 1 if one differs, 77 if a package is missing
"""
import base64
import os
import sys

from make_vectors import MASTER, NONE, VAULT, Random, h, kdf, seal, str16, subkey, u8, u16, u32, u64, xchacha20_poly1305

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

EPOCH = 1
REGULAR = 8
ROOT = bytes(16)
SEED = bytes(range(0x40, 0x60))
TIME = u64(1_790_000_000) + u32(5)


def counting(first, size):
    return bytes(range(first, first + size))


def str32(b):
    return u32(len(b)) + b


def padded(size):
    """Padmé, as a number of bytes."""
    size = max(size, 512)
    e = size.bit_length() - 1
    s = e.bit_length()
    mask = (1 << (e - s)) - 1
    return (size + mask) & ~mask


def name(kind, id_):
    return kdf(subkey("tain1.name"), "tain1.obj", NONE, u8(kind) + id_, 32)


def base32(b):
    return base64.b32encode(b).decode().lower().rstrip("=")


def hlc(n):
    return u64(0x01900000_00000000 + (n << 16))


def dot(writer, counter):
    return u64(writer) + u64(counter)


def version(counter, time, parents, value):
    return dot(7, counter) + hlc(time) + u8(len(parents)) + b"".join(parents) + str32(value)


def link(directory, text):
    return directory + str16(text)


def content_hash(data):
    return kdf(subkey("tain1.blob"), "tain1.cid", NONE, data, 32)


def record_of_a_file():
    text = b"Dear diary\n"
    location = u16(1) + link(ROOT, b"first.md") + u16(0)
    content = u64(len(text)) + TIME + content_hash(text) + u8(0) + str32(text)
    attributes = (u32(0o644) + u32(1000) + u32(1000) + u64(0) + TIME + u64(0) + u16(1) + str16(b"user.mood") + str32(b"ok"))
    return (u8(1) + counting(0x60, 16) + u8(REGULAR) + u8(7) + version(1, 1, [], location) +
            version(2, 2, [dot(6, 9)], content) + version(3, 1, [], attributes))


def record_of_a_removal():
    location = u16(0) + u16(1) + link(ROOT, b"first.md") + u8(2) + dot(7, 2) + dot(7, 3)
    return u8(1) + counting(0x60, 16) + u8(REGULAR) + u8(1) + version(4, 3, [dot(7, 1)], location)


def record_of_a_large_file():
    chunk = u64(1) + counting(0xa0, 32) + counting(0xc0, 16) + u32(0) + u32(4464)
    content = u64(70000) + TIME + counting(0x80, 32) + u8(1) + u8(0) + u16(1) + chunk
    return u8(1) + counting(0x60, 16) + u8(REGULAR) + u8(2) + version(5, 4, [dot(7, 2)], content)


def sealed(kind, label, id_, body):
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    body += key.sign(h(b"TSIG" + u8(kind) + h(body)))
    message = u32(len(body)) + body
    message += bytes(padded(80 + len(message)) - 80 - len(message))
    ad = b"TOBJ" + VAULT + u32(EPOCH) + u8(kind) + name(kind, id_)
    return seal(subkey("tain1.head"), label, ad, message, Random())


def announcement():
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    body = u16(1) + u64(7) + counting(0x50, 16) + public + str16(b"Laptop") + u64(0) + u64(0) + bytes(32) + hlc(0)
    return sealed(1, "tain1.ann", u64(7) + u64(0), body)


def segment():
    body = u16(1) + u64(7) + u64(1) + bytes(32) + hlc(2)
    body += u16(1) + u64(6) + u64(3) + counting(0xe0, 32)
    body += u32(1) + counting(0xc0, 16) + u64(4608) + counting(0x10, 32)
    body += u32(1) + str32(record_of_a_file())
    return sealed(2, "tain1.seg", u64(7) + u64(1), body)


def once(label, info, data):
    return xchacha20_poly1305(kdf(subkey("tain1.blob"), label, NONE, info, 32), bytes(24), VAULT, data)


def pack(chunks):
    hashes = [content_hash(chunk) for chunk in chunks]
    id_ = kdf(subkey("tain1.blob"), "tain1.pack", NONE, u64(7) + b"".join(hashes), 32)[:16]
    out = b""
    for chunk, hash_ in zip(chunks, hashes):
        out += once("tain1.chunk", hash_ + id_ + u32(len(out)), chunk)
    out += once("tain1.pad", id_, bytes(padded(len(out) + 16) - len(out) - 16))
    return id_, out


def examples():
    yield "record of a file", record_of_a_file()
    yield "record of a removal", record_of_a_removal()
    yield "record of a file of 70 000 bytes, the first 65 536 of them a hole", record_of_a_large_file()
    text = base32(name(1, u64(7) + u64(0)))
    yield "name of the announcement, in ASCII", f"w/{text}".encode()
    text = base32(name(2, u64(7) + u64(1)))
    yield "name of the segment, in ASCII", f"o/{text[:2]}/{text}".encode()
    text = base32(name(3, counting(0xc0, 16)))
    yield "name of the pack, in ASCII", f"o/{text[:2]}/{text}".encode()
    yield "announcement", announcement()
    yield "segment", segment()
    chunk = b"x" * 20
    id_, data = pack([chunk])
    yield "hash of a chunk, 20 times x", content_hash(chunk)
    yield "id of the pack with that chunk", id_
    yield "that pack", data


def rows(data):
    return "\n".join(data[i:i + 32].hex() for i in range(0, len(data), 32))


def main():
    assert len(MASTER) == 32
    if "--check" not in sys.argv:
        for title, data in examples():
            print(f"```hex\n{title}\n{rows(data)}\n```\n")
        return 0
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "..", "..", "docs", "remote-protocol.md"), encoding="utf-8") as f:
        page = f.read()
    wrong = [title for title, data in examples() if f"```hex\n{title}\n{rows(data)}\n```\n" not in page]
    for title in wrong:
        print(f"docs/remote-protocol.md differs: {title}")
    print(f"{len(wrong)} examples differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
