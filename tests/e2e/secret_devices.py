#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""That what a device keeps stays with it: secret_devices.py TAIN WORK VECTORS [--every-call] fido2|tpm2|keyring.

Runs the commands of tain that make and use a key slot of the device, as secret_trace.py does, and looks for the device's
key, its PIN, the master key and all that is derived from them. It is not looked at what the children are that ask the device
(cli/child.h) while they live; nothing else may have it, and what is sent to the device is no exception.
The device is there already, and the environment says where.
"""
import hashlib
import os
import sys

sys.path.append(os.path.dirname(os.path.realpath(__file__)))
from secret_trace import (MNT, WORK, canary, check, failures, header_of, holder, json_of, keys_of, needles, nothing_on_disk,  # noqa: E402
                          ok, parent_of, processes_of_tain, search_process, secret_file, traced)

DEVICE = sys.argv[-1]
VAULT = f"{WORK}/vault-{DEVICE}"
DONE = 0  # the first byte of what a child hands over (cli/child.cc)
KEY_SIZE = 32
WORKED_WITH = "subkey record"  # by whoever serves


def key_handed_over(run):
    """The only one that a child found."""
    keys = {content[1:] for content in run.handed if content[0] == DONE and len(content) == 1 + KEY_SIZE}
    if len(keys) != 1:
        sys.exit(f"{run.what}: children handed over {len(keys)} keys")
    return keys.pop()


def mounted(pid):
    """Of the processes that stay, the one that serves has what it works with in the arena, and nothing more."""
    supervisor = parent_of(pid)
    if (alive := processes_of_tain()) != {pid, supervisor}:
        failures.append(f"while mounted these live: {alive}, not only {pid} and {supervisor}")
    outside, inside = search_process(pid)
    check(outside)
    if not any(WORKED_WITH in label for label in inside):
        sys.exit(f"the serving process does not have in its arena what it works with: {sorted(inside)}")
    for label in inside:
        if not label.startswith("the vault: subkey"):
            failures.append(f"mount: {label} in the arena, which serving does not need")
    outside, inside = search_process(supervisor)
    check(outside)
    if inside:
        failures.append(f"mount: {sorted(inside)} in the supervisor")


def main():
    password = f"p-{canary()}"
    needles.add("the password", password)
    password_file = secret_file("secret-password", password)
    new_pin, with_pin = [], []
    if DEVICE == "fido2":  # the token was made with it
        with open(f"{WORK}/secret-token-pin", encoding="utf-8") as f:
            pin = f.read().strip()
        pin_file = f"{WORK}/secret-token-pin"
        new_pin, with_pin = ["--new-passfile", pin_file], ["--passfile", pin_file]
        needles.add("the PIN", pin)
        needles.add("the hash of the PIN", hashlib.sha256(pin.encode()).digest()[:16])  # which CTAP sends
    way = [f"--{DEVICE}"]

    runs = [traced("init", ["init", "--kdf-time", "0", "--passfile", password_file, VAULT]),
            traced("key add", ["key", "add", "--passfile", password_file, *new_pin, VAULT, DEVICE]),
            traced("ls", ["ls", *way, *with_pin, VAULT])]
    key = key_handed_over(runs[-1])
    needles.add("the device's key", key)
    by_password, by_device = keys_of(header_of(VAULT), password.encode()), keys_of(header_of(VAULT), key)
    if by_password["master key"] != by_device["master key"]:
        sys.exit("the password and the device open different vaults")
    for name in ("slot key", "export key"):
        needles.add(f"the password's slot: {name}", by_password[name])
        needles.add(f"the device's slot: {name}", by_device[name])
    for name, value in by_password.items():
        if name == "master key" or name.startswith("subkey"):
            needles.add(f"the vault: {name}", value)
    for run in runs:
        check(run)
    if DEVICE == "fido2":
        check(traced("ls, PIN typed", ["ls", *way, VAULT], typed=[("PIN", pin)]))
    ok(f"{DEVICE}: key add and ls leave it with the device")

    run = traced("mount", ["mount", *way, *with_pin, VAULT, MNT], stays=True)
    check(run)
    if key_handed_over(run) != key:
        sys.exit("the device yields another key")
    with open(f"{MNT}/diary", "w") as f:
        f.write("dear diary\n")
        os.fsync(f.fileno())
    mounted(holder(VAULT))
    ok(f"{DEVICE}: a mount has its keys in the arena, not the device's nor the master key")
    check(traced("unmount", ["unmount", MNT]))
    if alive := processes_of_tain():
        failures.append(f"after the lock these live: {alive}")
    ok(f"{DEVICE}: after the lock no process is left")

    run = traced("cat", ["cat", *way, *with_pin, f"{VAULT}:diary"])
    check(run)
    if b"dear diary" not in run.output:
        sys.exit(f"cat wrote {run.output!r}")
    slot = next(s["slot"] for s in json_of("key", "list", "--json", VAULT) if s["type"] == DEVICE)
    check(traced("key remove", ["key", "remove", "--passfile", password_file, VAULT, slot]))
    ok(f"{DEVICE}: cat and key remove leave it with the device")
    nothing_on_disk()


main()
