#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A FIDO2 token in software: CTAP 2.1 over CTAPHID reports, on a Unix socket of packets instead of a hidraw device.

Usage: fido2_token.py SOCKET FOLDER [options]. FOLDER keeps what a token keeps without power: its secret, its PIN and the
tries that are left. Another folder is another token. It serves until it is killed.
"""
import argparse
import hashlib
import hmac
import json
import os
import secrets
import socket
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
AAGUID = bytes(16)
TRIES = 8  # wrong PINs in all (CTAP 2.1 §6.5.2)
TRIES_IN_A_ROW = 3

# CTAPHID (§11.2): a report of 64 bytes.
REPORT = 64
BROADCAST = 0xFFFFFFFF
PING, MSG, INIT, CBOR, CANCEL, KEEPALIVE, ERROR = 0x81, 0x83, 0x86, 0x90, 0x91, 0xBB, 0xBF
UP_NEEDED = 2

# Status codes (§8.2).
OK = 0x00
ERR_INVALID_COMMAND, ERR_INVALID_PARAMETER, ERR_INVALID_SEQ = 0x01, 0x02, 0x04
ERR_MISSING_PARAMETER, ERR_UNSUPPORTED_ALGORITHM, ERR_UNSUPPORTED_OPTION = 0x14, 0x26, 0x2B
ERR_NO_CREDENTIALS, ERR_USER_ACTION_TIMEOUT = 0x2E, 0x2F
ERR_PIN_INVALID, ERR_PIN_BLOCKED, ERR_PIN_AUTH_INVALID, ERR_PIN_AUTH_BLOCKED = 0x31, 0x32, 0x33, 0x34
ERR_PIN_NOT_SET, ERR_PIN_REQUIRED = 0x35, 0x36

# Flags of authenticator data (WebAuthn §6.1).
UP, UV, AT, ED = 0x01, 0x04, 0x40, 0x80


class Status(Exception):
    def __init__(self, code):
        super().__init__(hex(code))
        self.code = code


# --- CBOR (RFC 8949), as much of it as CTAP uses: definite lengths, keys in canonical order -------------------------

def cbor_head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << (8 * size):
            return bytes([major << 5 | extra]) + n.to_bytes(size, "big")
    raise ValueError(n)


def cbor_encode(value):
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return cbor_head(0, value) if value >= 0 else cbor_head(1, -1 - value)
    if isinstance(value, bytes):
        return cbor_head(2, len(value)) + value
    if isinstance(value, str):
        return cbor_head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return cbor_head(4, len(value)) + b"".join(map(cbor_encode, value))
    if isinstance(value, dict):
        pairs = sorted(((cbor_encode(k), cbor_encode(v)) for k, v in value.items()), key=lambda p: (p[0][0] >> 5, len(p[0]), p[0]))
        return cbor_head(5, len(pairs)) + b"".join(k + v for k, v in pairs)
    raise TypeError(type(value))


def cbor_item(data, at):
    """The item at `at`, and where the next one begins."""
    major, n = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        return {20: False, 21: True, 22: None}[n], at
    if n >= 24:
        size = {24: 1, 25: 2, 26: 4, 27: 8}[n]
        n = int.from_bytes(data[at:at + size], "big")
        at += size
    if major == 0:
        return n, at
    if major == 1:
        return -1 - n, at
    if major in (2, 3):
        piece = data[at:at + n]
        return (piece if major == 2 else piece.decode()), at + n
    if major == 4:
        items = []
        for _ in range(n):
            item, at = cbor_item(data, at)
            items.append(item)
        return items, at
    if major == 5:
        pairs = {}
        for _ in range(n):
            key, at = cbor_item(data, at)
            pairs[key], at = cbor_item(data, at)
        return pairs, at
    raise ValueError(major)


# --- PIN/UV auth protocols (§6.5.6, §6.5.7) -------------------------------------------------------------------------

def cose_key(public, algorithm):
    numbers = public.public_numbers()
    return {1: 2, 3: algorithm, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}


def cbc(key, iv, data, decrypt):
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    context = cipher.decryptor() if decrypt else cipher.encryptor()
    return context.update(data) + context.finalize()


class Shared:
    """The secret that a platform and the token agree on, under protocol 1 or 2."""

    def __init__(self, protocol, private, peer):
        self.protocol = protocol
        point = ec.EllipticCurvePublicNumbers(int.from_bytes(peer[-2], "big"), int.from_bytes(peer[-3], "big"), ec.SECP256R1())
        z = private.exchange(ec.ECDH(), point.public_key())
        if protocol == 1:
            self.hmac_key = self.aes_key = hashlib.sha256(z).digest()
        else:
            def derived(info):
                return HKDF(algorithm=hashes.SHA256(), length=32, salt=bytes(32), info=info).derive(z)
            self.hmac_key, self.aes_key = derived(b"CTAP2 HMAC key"), derived(b"CTAP2 AES key")

    def encrypt(self, data):
        if self.protocol == 1:
            return cbc(self.aes_key, bytes(16), data, False)
        iv = secrets.token_bytes(16)
        return iv + cbc(self.aes_key, iv, data, False)

    def decrypt(self, data):
        if self.protocol == 1:
            return cbc(self.aes_key, bytes(16), data, True)
        return cbc(self.aes_key, data[:16], data[16:], True)

    def verify(self, message, tag):
        return verify_tag(self.protocol, self.hmac_key, message, tag)


def verify_tag(protocol, key, message, tag):
    expected = hmac.new(key, message, hashlib.sha256).digest()
    return hmac.compare_digest(expected[:16] if protocol == 1 else expected, tag)


# --- the token ------------------------------------------------------------------------------------------------------

class Authenticator:
    def __init__(self, folder, options):
        self.options = options
        self.path = os.path.join(folder, "state.json")
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as stored:
                self.state = json.load(stored)
        else:
            self.state = {"secret": secrets.token_hex(32), "pin": None, "tries": TRIES}
        if options.pin is not None:
            self.state.update(pin=hashlib.sha256(options.pin.encode()).hexdigest()[:32], tries=TRIES)
        self.save()
        self.wrong_in_a_row = 0
        self.counter = 0
        self.agreement = ec.generate_private_key(ec.SECP256R1())
        self.token = secrets.token_bytes(32)  # pinUvAuthToken

    def save(self):
        with open(self.path + ".new", "w", encoding="utf-8") as out:
            json.dump(self.state, out)
        os.replace(self.path + ".new", self.path)

    def answer(self, request, keepalive):
        """The status and the CBOR of the answer to a CTAPHID_CBOR message."""
        try:
            parameters = cbor_item(request, 1)[0] if len(request) > 1 else {}
            if request[0] == 0x01:
                return bytes([OK]) + cbor_encode(self.make_credential(parameters, keepalive))
            if request[0] == 0x02:
                return bytes([OK]) + cbor_encode(self.get_assertion(parameters, keepalive))
            if request[0] == 0x04:
                return bytes([OK]) + cbor_encode(self.get_info())
            if request[0] == 0x06:
                return bytes([OK]) + cbor_encode(self.client_pin(parameters))
            return bytes([ERR_INVALID_COMMAND])
        except Status as status:
            return bytes([status.code])
        except (KeyError, IndexError):
            return bytes([ERR_MISSING_PARAMETER])

    def get_info(self):  # §6.4
        options = {"rk": False, "up": True, "plat": False, "clientPin": self.state["pin"] is not None}
        if self.options.protocol == 2:
            options["pinUvAuthToken"] = True
        extensions = [] if self.options.no_hmac_secret else ["hmac-secret"]
        return {1: ["FIDO_2_0", "FIDO_2_1"], 2: extensions or ["credProtect"], 3: AAGUID, 4: options, 5: 1200, 6: [self.options.protocol]}

    def touch(self, keepalive):
        keepalive(UP_NEEDED)
        if self.options.no_touch:
            raise Status(ERR_USER_ACTION_TIMEOUT)

    def verified(self, parameter, protocol, client_data_hash):
        """Whether the user was verified by the PIN."""
        if parameter is None:
            return False
        if not verify_tag(protocol, self.token, client_data_hash, parameter):
            raise Status(ERR_PIN_AUTH_INVALID)
        return True

    # What a credential is made of follows from a seed, which its id wraps.

    def wrap(self, seed, relying_party):
        nonce = secrets.token_bytes(12)
        padding = bytes(max(0, self.options.credential_id_size - 12 - len(seed) - 16))
        return nonce + AESGCM(bytes.fromhex(self.state["secret"])).encrypt(nonce, seed + padding, relying_party)

    def unwrap(self, credential, relying_party):
        """The seed; None: it is not of this token."""
        try:
            return AESGCM(bytes.fromhex(self.state["secret"])).decrypt(credential[:12], credential[12:], relying_party)[:32]
        except Exception:  # pylint: disable=broad-except
            return None

    @staticmethod
    def private_key(seed):
        number = int.from_bytes(hmac.new(seed, b"key", hashlib.sha256).digest(), "big") % (P256_ORDER - 1) + 1
        return ec.derive_private_key(number, ec.SECP256R1())

    def authenticator_data(self, relying_party, flags, rest=b""):
        self.counter += 1
        return relying_party + bytes([flags]) + struct.pack(">I", self.counter) + rest

    def make_credential(self, parameters, keepalive):  # §6.1
        client_data_hash, relying_party = parameters[1], hashlib.sha256(parameters[2]["id"].encode()).digest()
        if all(kind["alg"] != -7 for kind in parameters[4]):
            raise Status(ERR_UNSUPPORTED_ALGORITHM)
        if parameters.get(7, {}).get("rk"):
            raise Status(ERR_UNSUPPORTED_OPTION)
        verified = self.verified(parameters.get(8), parameters.get(9), client_data_hash)
        if self.state["pin"] is not None and not verified:
            raise Status(ERR_PIN_REQUIRED)
        self.touch(keepalive)
        seed = secrets.token_bytes(32)
        private, credential = self.private_key(seed), self.wrap(seed, relying_party)
        rest = AAGUID + struct.pack(">H", len(credential)) + credential + cbor_encode(cose_key(private.public_key(), -7))
        flags = UP | AT | (UV if verified else 0)
        if parameters.get(6, {}).get("hmac-secret") and not self.options.no_hmac_secret:
            flags |= ED
            rest += cbor_encode({"hmac-secret": True})
        data = self.authenticator_data(relying_party, flags, rest)
        signature = private.sign(data + client_data_hash, ec.ECDSA(hashes.SHA256()))
        return {1: "packed", 2: data, 3: {"alg": -7, "sig": signature}}

    def get_assertion(self, parameters, keepalive):  # §6.2
        client_data_hash, relying_party = parameters[2], hashlib.sha256(parameters[1].encode()).digest()
        verified = self.verified(parameters.get(6), parameters.get(7), client_data_hash)
        for descriptor in parameters.get(3, []):
            credential = descriptor["id"]
            seed = self.unwrap(credential, relying_party)
            if seed is not None:
                break
        else:
            raise Status(ERR_NO_CREDENTIALS)
        asked = parameters.get(4, {}).get("hmac-secret")
        present = parameters.get(5, {}).get("up", True)
        if asked and not present:
            raise Status(ERR_UNSUPPORTED_OPTION)
        if present:
            self.touch(keepalive)
        flags = (UP if present else 0) | (UV if verified else 0)
        rest = b""
        if asked and not self.options.no_hmac_secret:  # §12.5
            shared = Shared(asked.get(4, 1), self.agreement, asked[1])
            if not shared.verify(asked[2], asked[3]):
                raise Status(ERR_PIN_AUTH_INVALID)
            salts = shared.decrypt(asked[2])
            if len(salts) not in (32, 64):
                raise Status(ERR_INVALID_PARAMETER)
            random = hmac.new(seed, b"with UV" if verified else b"without UV", hashlib.sha256).digest()
            outputs = b"".join(hmac.new(random, salts[i:i + 32], hashlib.sha256).digest() for i in range(0, len(salts), 32))
            flags |= ED
            rest = cbor_encode({"hmac-secret": shared.encrypt(outputs)})
        data = self.authenticator_data(relying_party, flags, rest)
        signature = self.private_key(seed).sign(data + client_data_hash, ec.ECDSA(hashes.SHA256()))
        return {1: {"id": credential, "type": "public-key"}, 2: data, 3: signature}

    def client_pin(self, parameters):  # §6.5.5
        command = parameters[2]
        if command == 0x01:  # getPINRetries
            return {3: self.state["tries"], 4: self.wrong_in_a_row >= TRIES_IN_A_ROW}
        if command == 0x02:  # getKeyAgreement
            return {1: cose_key(self.agreement.public_key(), -25)}
        if command in (0x05, 0x09):  # getPinToken, getPinUvAuthTokenUsingPinWithPermissions
            shared = Shared(parameters[1], self.agreement, parameters[3])
            self.check_pin(shared.decrypt(parameters[6]))
            self.token = secrets.token_bytes(32)
            return {2: shared.encrypt(self.token)}
        raise Status(ERR_INVALID_PARAMETER)

    def check_pin(self, digest):
        if self.state["pin"] is None:
            raise Status(ERR_PIN_NOT_SET)
        if self.state["tries"] == 0:
            raise Status(ERR_PIN_BLOCKED)
        if self.wrong_in_a_row >= TRIES_IN_A_ROW:
            raise Status(ERR_PIN_AUTH_BLOCKED)
        self.state["tries"] -= 1
        self.save()  # before the answer: who pulls it out has used up the try
        if not hmac.compare_digest(digest, bytes.fromhex(self.state["pin"])):
            self.agreement = ec.generate_private_key(ec.SECP256R1())
            self.wrong_in_a_row += 1
            if self.state["tries"] == 0:
                raise Status(ERR_PIN_BLOCKED)
            raise Status(ERR_PIN_AUTH_BLOCKED if self.wrong_in_a_row >= TRIES_IN_A_ROW else ERR_PIN_INVALID)
        self.wrong_in_a_row = 0
        self.state["tries"] = TRIES
        self.save()


class Channel:
    """CTAPHID on one connection."""

    def __init__(self, connection, authenticator):
        self.connection = connection
        self.authenticator = authenticator

    def receive(self):
        """A report; None at the end."""
        packet = self.connection.recv(REPORT + 1)
        # What is written to a hidraw device begins with the number of the report, 0.
        return packet[1:] if len(packet) == REPORT + 1 else None

    def send(self, channel, command, data):
        first, rest = data[:REPORT - 7], data[REPORT - 7:]
        packets = [struct.pack(">IBH", channel, command, len(data)) + first]
        for sequence, at in enumerate(range(0, len(rest), REPORT - 5)):
            packets.append(struct.pack(">IB", channel, sequence) + rest[at:at + REPORT - 5])
        for packet in packets:
            self.connection.send(packet.ljust(REPORT, b"\0"))

    def serve(self):
        while (packet := self.receive()) is not None:
            channel, command, size = struct.unpack(">IBH", packet[:7])
            data, sequence = packet[7:], 0
            while len(data) < size:
                packet = self.receive()
                if packet is None:
                    return
                if struct.unpack(">IB", packet[:5]) != (channel, sequence):
                    self.send(channel, ERROR, bytes([ERR_INVALID_SEQ]))
                    return
                data += packet[5:]
                sequence += 1
            self.handle(channel, command, data[:size])

    def handle(self, channel, command, data):
        if command == INIT:
            mine = secrets.randbelow(BROADCAST - 1) + 1 if channel == BROADCAST else channel
            # Version 2 of the protocol, a version of the device, and: CBOR, no U2F.
            self.send(channel, INIT, data[:8] + struct.pack(">I5B", mine, 2, 1, 0, 0, 0x04 | 0x08))
        elif command == PING:
            self.send(channel, PING, data)
        elif command == CBOR:
            answer = self.authenticator.answer(data, lambda status: self.send(channel, KEEPALIVE, bytes([status])))
            self.send(channel, CBOR, answer)
        elif command != CANCEL:  # nothing is pending when one message is handled after the other
            self.send(channel, ERROR, bytes([ERR_INVALID_COMMAND]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("folder")
    parser.add_argument("--pin", help="is set from now on")
    parser.add_argument("--protocol", type=int, choices=(1, 2), default=1, help="for PINs; with 2, tokens of PINs have permissions")
    parser.add_argument("--no-touch", action="store_true", help="nobody is there")
    parser.add_argument("--no-hmac-secret", action="store_true")
    parser.add_argument("--credential-id-size", type=int, default=60, help="at least, in bytes")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    authenticator = Authenticator(options.folder, options)
    if os.path.exists(options.socket):
        os.unlink(options.socket)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(options.socket + ".new")
        listener.listen()
        os.rename(options.socket + ".new", options.socket)  # who sees it can connect
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    Channel(connection, authenticator).serve()
                except OSError:
                    pass


if __name__ == "__main__":
    main()
