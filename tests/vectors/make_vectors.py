#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Known answers for everything that tain seals, computed from docs/format.md alone.

Shares no code with tain and no library either: BLAKE2b is Python's, the AEADs are those of python3-cryptography (OpenSSL),
HChaCha20 is written out here, and Argon2id is that of python3-argon2 (the reference implementation).

Usage: make_vectors.py           writes vectors.txt beside itself
       make_vectors.py --check   compares it instead; exits 1 if it differs, 77 if a package is missing

tests/store/vectors_test.cc compares what tain makes with vectors.txt. Inputs are those of docs/format.md §8: master key
00 01 … 1f, vault id 20 … 2f, epoch 1 (after a change of the master key: 80 … 9f, epoch 2), and "random" bytes a0 a1 a2 … from the beginning of each vector.
"""
import hashlib
import itertools
import os
import struct
import sys

try:
    from argon2.low_level import Type, hash_secret_raw
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
except ImportError as missing:
    print(f"skipped: {missing} (Debian: python3-cryptography python3-argon2)")
    sys.exit(77)

MASTER = bytes(range(0x00, 0x20))
VAULT = bytes(range(0x20, 0x30))
EPOCH = 1
NEXT_MASTER = bytes(range(0x80, 0xa0))
NEXT_EPOCH = 2
NONE = bytes(16)
CELL = 4096


def u8(v):
    return struct.pack("<B", v)


def u16(v):
    return struct.pack("<H", v)


def u32(v):
    return struct.pack("<I", v)


def u64(v):
    return struct.pack("<Q", v)


def str16(b):
    return u16(len(b)) + b


class Random:
    """a0, a1, a2 … from its beginning."""

    def __init__(self):
        self.bytes = (i & 0xff for i in itertools.count(0xa0))

    def take(self, n):
        return bytes(itertools.islice(self.bytes, n))


def h(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def kdf(key, label, salt, info, n):
    return hashlib.blake2b(info, digest_size=n, key=key, salt=salt, person=label.encode().ljust(16, b"\0")).digest()


def rotate(v, n):
    return ((v << n) | (v >> (32 - n))) & 0xffffffff


def hchacha20(key, nonce16):
    state = list(struct.unpack("<4I8I4I", b"expand 32-byte k" + key + nonce16))

    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xffffffff
            state[z] = rotate(state[z] ^ state[x], n)

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *(state[0:4] + state[12:16]))


def xchacha20_poly1305(key, nonce24, ad, message):
    return ChaCha20Poly1305(hchacha20(key, nonce24[:16])).encrypt(bytes(4) + nonce24[16:], message, ad)


def seal(key, label, ad, message, random):
    s = random.take(32)
    both = kdf(key, label, NONE, s + h(ad), 64)
    return s + both[32:] + xchacha20_poly1305(both[:32], bytes(24), h(ad), message)


def subkey(label, epoch=EPOCH):
    return kdf(MASTER if epoch == EPOCH else NEXT_MASTER, label, VAULT, u32(epoch), 32)


def argon2id(password, salt, passes, memory):
    return hash_secret_raw(password, salt, time_cost=passes, memory_cost=memory // 1024, parallelism=1, hash_len=32,
                           type=Type.ID, version=0x13)


LABELS = ["tain1.hdrmac", "tain1.kcv", "tain1.record", "tain1.content", "tain1.journal", "tain1.set", "tain1.dirhash",
          "tain1.xk", "tain1.hm", "tain1.rec", "tain1.blk", "tain1.cells", "tain1.jrn", "tain1.sd", "tain1.dh",
          "tain1.kek", "tain1.export", "tain1.wrap", "tain1.xwrap", "tain1.name", "tain1.head", "tain1.local",
          "tain1.ring", "tain1.older", "tain1.blob", "tain1.obj", "tain1.ann", "tain1.seg", "tain1.cid", "tain1.chunk",
          "tain1.pad", "tain1.pack"]
KDF_COST = (2, 64 << 20)
NOW = 1_790_000_000


def slot(type_, secret, keyfile, suite, random, minor=1, epoch=EPOCH, slot_id=None, extra=b""):
    """A whole key slot. Of a device, the id was chosen before its key was made."""
    slot_id = slot_id or random.take(8)
    if type_ in (1, 2):
        salt = random.take(16)
        public = u8(type_) + slot_id + u8(1) + u32(KDF_COST[0]) + u64(KDF_COST[1]) + salt + u64(NOW) + str16(extra)
        pwk = argon2id(secret, salt, *KDF_COST)
    else:
        public = u8(type_) + slot_id + u8(2) + u32(0) + u64(0) + bytes(16) + u64(NOW) + str16(extra)
        pwk = secret.ljust(32, b"\0")
    kek = kdf(pwk, "tain1.kek", VAULT, slot_id + h(keyfile), 32)
    export = kdf(kek, "tain1.export", VAULT, slot_id, 32)
    ad = b"TAINVLT1" + u16(1) + u16(minor) + VAULT + u32(epoch) + u8(suite) + public
    wrap = seal(kek, "tain1.wrap", ad, MASTER if epoch == EPOCH else NEXT_MASTER, random)
    xwrap = seal(subkey("tain1.xk", epoch), "tain1.xwrap", ad, export, random)
    return public + wrap + xwrap


def fido2_extra(asks_for_pin, salt, credential_id):
    return u8(1) + u8(1 if asks_for_pin else 0) + salt + credential_id


def tpm2_extra(private, public):
    return u8(1) + str16(private) + str16(public)


def device_slots(suite, random, minor=1, epoch=EPOCH):
    """One of each type, for keys 40 …, 50 …, 60 …, and the ids 70 …, 78 …, 80 …"""
    extras = [fido2_extra(True, bytes(range(0xc0, 0xe0)), pattern(64)), tpm2_extra(pattern(96), pattern(90)), b""]
    for i, extra in enumerate(extras):
        key = bytes(range(0x40 + 16 * i, 0x60 + 16 * i))
        slot_id = bytes(range(0x70 + 8 * i, 0x78 + 8 * i))
        yield slot(4 + i, key, b"", suite, random, minor, epoch, slot_id, extra)


def header(suite, slots, older=b"", minor=1, epoch=EPOCH):
    body = u16(1) + u16(minor) + VAULT + u64(1) + u32(epoch) + u8(suite) + u8(len(slots)) + u16(0) + bytes(32)
    body += subkey("tain1.kcv", epoch) + b"".join(slots) + older + bytes(16 + 64)
    before = b"TAINVLT1" + u32(8 + 4 + len(body) + 64) + body
    mac = kdf(subkey("tain1.hdrmac", epoch), "tain1.hm", NONE, h(before), 32)
    return before + mac + h(before + mac)


def older_master(random):
    ad = b"TAINVLT1" + u16(1) + u16(2) + VAULT + u32(NEXT_EPOCH) + u32(EPOCH)
    return u32(EPOCH) + seal(subkey("tain1.ring", NEXT_EPOCH), "tain1.older", ad, MASTER, random)


def record(table, key, kind, schema, body, random):
    """Without the checksum, which is XXH3 and no cryptography."""
    clear = u8(kind) + u8(2) + u16(schema) + u32(EPOCH)
    ad = b"TREC" + clear + VAULT + u8(table) + str16(key)
    return clear + seal(subkey("tain1.record"), "tain1.rec", ad, u16(schema) + u32(EPOCH) + body, random)


def block(suite, kind, content, writer, number, level, index, plain, random, epoch=EPOCH):
    """Likewise. Of the next epoch: what takes the place of the same block of the first one."""
    start = u8(kind) + u8(suite) + u16(1 if epoch == EPOCH else 2) + u32(epoch) + content
    r = random.take(24)
    ad = h(b"TBLK" + start + VAULT + u64(writer) + u64(number) + u8(level) + u64(index) + u32(len(plain)))
    both = kdf(subkey("tain1.content", epoch), "tain1.blk", NONE, r + ad, 64)
    tags, ciphertext = b"", b""
    for i in range((len(plain) + CELL - 1) // CELL):
        cell = plain[i * CELL:(i + 1) * CELL]
        if suite == 1:
            sealed = AESGCM(both[:32]).encrypt(i.to_bytes(12, "little"), cell, None)
        else:
            sealed = xchacha20_poly1305(both[:32], i.to_bytes(24, "little"), b"", cell)
        ciphertext += sealed[:-16]
        tags += sealed[-16:]
    tag = kdf(both[32:], "tain1.cells", NONE, tags, 32)[:16]
    return start + r + tag + tags + ciphertext


def frame_payload(frame_header, payload, random):
    return seal(subkey("tain1.journal"), "tain1.jrn", b"TJNL" + VAULT + frame_header, payload, random)


def name_hash(directory, name, epoch=EPOCH):
    hashed = kdf(subkey("tain1.dirhash", epoch), "tain1.dh", NONE, u64(directory) + name, 32)
    number = int.from_bytes(hashed[:8], "little")
    if epoch == 1:
        return max(number >> 2 & ~15, 16)
    return 1 << 62 | (epoch - 1) << 56 | number >> 8 & ~15


def pattern(n):
    return bytes((i * 7 + i // 251) & 0xff for i in range(n))


def vectors():
    for label in LABELS:
        yield "kdf 32 " + label, kdf(MASTER, label, VAULT, b"some info", 32)
        yield "kdf 64 " + label, kdf(MASTER, label, VAULT, b"some info", 64)
        yield "seal " + label, seal(MASTER, label, b"some associated data", b"a message", Random())
    yield "hash of nothing", h(b"")
    yield "hash", h(b"some bytes")

    password = b"correct horse"
    yield "password key", argon2id(password, bytes(range(16)), *KDF_COST)
    random = Random()
    slots = [slot(1, password, b"", 1, random)]
    yield "header, password", header(1, slots)
    slots.append(slot(2, password, b"k" * 32, 1, random))
    slots.append(slot(3, bytes(range(0x60, 0x74)), b"", 1, random))
    yield "header, three slots", header(1, slots)
    yield "header, suite 2, recovery words", header(2, [slot(3, bytes(range(0x60, 0x74)), b"", 2, Random())])
    for suite in (1, 2):
        yield f"header, suite {suite}, devices", header(suite, list(device_slots(suite, Random())))
    random = Random()
    slots = [slot(1, password, b"", 1, random)] + list(device_slots(1, random))
    yield "header, password and devices", header(1, slots)
    random = Random()
    slots = list(device_slots(1, random, 2, NEXT_EPOCH))
    yield "header, devices, master key changed", header(1, slots, u8(0), 2, NEXT_EPOCH)
    for last in (False, True):
        random = Random()
        slots = [slot(1, password, b"", 1, random, 2, NEXT_EPOCH)]
        older = u8(0) if last else u8(1) + older_master(random)
        yield "header, master key " + ("changed" if last else "under change"), header(1, slots, older, 2, NEXT_EPOCH)

    yield "record", record(2, u64(2)[::-1], 1, 1, b"the body of a record", Random())
    content = bytes(range(0x40, 0x50))
    for suite in (1, 2):
        for n in (0, 1, 4095, 4096, 4097, 10_000):
            yield f"block, suite {suite}, {n} bytes", block(suite, 5, content, 7, 1, 0, 3, pattern(n), Random())
            yield (f"resealed block, suite {suite}, {n} bytes",
                   block(suite, 5, content, 7, 1, 0, 3, pattern(n), Random(), NEXT_EPOCH))
        yield f"map node, suite {suite}", block(suite, 4, content, 7, 2, 1, 128, pattern(63), Random())
    yield "frame payload", frame_payload(bytes(range(56)), b"the changes", Random())
    for name in (b"a.md", b"", "Tagebuch ä".encode(), b"x" * 255):
        yield "name hash " + (name.hex() or "of nothing"), u64(name_hash(1, name))
        yield "name hash of epoch 2, " + (name.hex() or "of nothing"), u64(name_hash(1, name, NEXT_EPOCH))
    yield "set summand", kdf(subkey("tain1.set"), "tain1.sd", NONE, u8(3) + str16(b"a key") + bytes(range(16)), 32)


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors.txt")
    lines = ["# Made by make_vectors.py from docs/format.md; compared by vectors_test.cc. Long ones by their hash."]
    for name, value in vectors():
        shown = value.hex() if len(value) <= 1024 else f"hash {len(value)} {h(value).hex()}"
        lines.append(f"{name}: {shown}")
    text = "\n".join(lines) + "\n"
    if "--check" not in sys.argv:
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        print(f"{len(lines) - 1} vectors")
        return 0
    with open(path, encoding="ascii") as f:
        same = f.read() == text
    print(f"{len(lines) - 1} vectors: " + ("the same" if same else "vectors.txt differs"))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
