# SPDX-License-Identifier: Apache-2.0
"""What tpm2.sh needs besides swtpm: ports, TPM commands, an ear on the bus, and key slots altered in the header."""
import hashlib
import os
import socket
import struct
import sys
import threading

OWNER, LOCKOUT, PASSWORD_SESSION = 0x40000001, 0x4000000A, 0x40000009
CLEAR, HIERARCHY_CHANGE_AUTH, CREATE, UNSEAL = 0x126, 0x129, 0x153, 0x15E
HEADER_SLOTS, HASH_SIZE, TPM2_SLOT = 112, 32, 5


def ports():
    """Prints a port of which the next is free, too: swtpm needs two, and tpm2-tss expects them side by side."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            print(port)
            return


def reach(port):
    socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()


def receive(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def receive_message(connection):
    head = receive(connection, 10)  # tag, size, code
    return head + receive(connection, struct.unpack(">I", head[2:6])[0] - 10)


def command(port, code, handle, parameters=b""):
    """One that is authorized with the empty password of `handle`."""
    session = struct.pack(">IHBH", PASSWORD_SESSION, 0, 0, 0)
    body = struct.pack(">II", handle, len(session)) + session + parameters
    with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as connection:
        connection.sendall(struct.pack(">HII", 0x8002, 10 + len(body), code) + body)
        answer = struct.unpack(">I", receive_message(connection)[6:10])[0]
    if answer != 0:
        sys.exit(f"TPM command {code:#x}: error {answer:#x}")


def listen(port, behind, record):
    """Hands everything on between `port` and the TPM at `behind`, and adds a line to `record` for each Create and Unseal:
    its code, the attributes of its session, and its first sensitive parameter."""

    def note(asked, answered):
        code = struct.unpack(">I", asked[6:10])[0]
        if code not in (CREATE, UNSEAL):
            return
        at = 18  # head, one handle, size of the authorizations
        nonce_size = struct.unpack(">H", asked[at + 4 : at + 6])[0]
        attributes = asked[at + 6 + nonce_size]
        if code == CREATE:
            at += struct.unpack(">I", asked[14:18])[0]
            sensitive = asked[at + 2 : at + 2 + struct.unpack(">H", asked[at : at + 2])[0]]
        else:
            sensitive = answered[16 : 16 + struct.unpack(">H", answered[14:16])[0]]
        with open(record, "a", encoding="ascii") as out:
            out.write(f"{code:#x} {attributes:#x} {sensitive.hex()}\n")

    def serve(client, port_behind, is_data):
        with client, socket.create_connection(("127.0.0.1", port_behind)) as tpm:
            try:
                while is_data:
                    asked = receive_message(client)
                    tpm.sendall(asked)
                    answered = receive_message(tpm)
                    note(asked, answered)
                    client.sendall(answered)
                while True:  # the control channel: nothing of interest, always a question and an answer
                    asked = client.recv(4096)
                    if not asked:
                        return
                    tpm.sendall(asked)
                    client.sendall(tpm.recv(4096))
            except EOFError:
                return

    def accept(server, port_behind, is_data):
        while True:
            client, _ = server.accept()
            threading.Thread(target=serve, args=(client, port_behind, is_data), daemon=True).start()

    for offset in (1, 0):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", int(port) + offset))
        server.listen()
        if offset == 0:
            accept(server, int(behind), True)
        threading.Thread(target=accept, args=(server, int(behind) + 1, False), daemon=True).start()


def alter(vault, what, hashed):
    """Changes the extra of the slot of a TPM in both copies of the header. hashed: as who wants to deceive."""
    for name in ("header", "header.bak"):
        path = os.path.join(vault, name)
        with open(path, "rb") as file:
            header = bytearray(file.read())
        at = HEADER_SLOTS
        while True:  # type, id, kdf, passes, memory, salt, created: 46 bytes; then extra and two wraps
            extra_size = struct.unpack("<H", header[at + 46 : at + 48])[0]
            if header[at] == TPM2_SLOT:
                break
            at += 48 + extra_size + 112 + 112
        place, value = {
            "bit": (extra_size // 2, header[at + 48 + extra_size // 2] ^ 1),
            "version": (0, 2),
            "length": (2, 0xFF),
            "public": (extra_size - 36, 0xFF),
        }[what]
        header[at + 48 + place] = value
        if hashed:
            header[-HASH_SIZE:] = hashlib.blake2b(header[:-HASH_SIZE], digest_size=HASH_SIZE).digest()
        with open(path, "wb") as file:
            file.write(header)


def main():
    verb, arguments = sys.argv[1], sys.argv[2:]
    if verb == "ports":
        ports()
    elif verb == "reach":
        reach(*arguments)
    elif verb == "clear":
        command(arguments[0], CLEAR, LOCKOUT)
    elif verb == "owner-password":
        command(arguments[0], HIERARCHY_CHANGE_AUTH, OWNER, struct.pack(">H", 4) + b"mine")
    elif verb == "listen":
        listen(*arguments)
    elif verb == "alter":
        alter(arguments[0], arguments[1], arguments[2:] == ["hashed"])


main()
