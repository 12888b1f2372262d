#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A key in the keyring of the login: a real daemon of the Secret Service, on a bus of its own.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/devices.sh
. "$(dirname "$0")/devices.sh"
need_device keyring

items() { # how many items of this vault the keyring has
  gdbus call --session --dest org.freedesktop.secrets --object-path /org/freedesktop/secrets \
    --method org.freedesktop.Secret.Service.SearchItems "{'xdg:schema': 'org.tain.Vault', 'vault': '$vault_id'}" |
    grep -o '/org/freedesktop/secrets/collection/[^ ]*' | wc -l || true
}

new_vault
mount_vault
echo "dear diary" >"$MNT/diary"
unmount_vault
vault_id=$("$PY" -c 'import sys; print(open(sys.argv[1], "rb").read()[16:32].hex())' "$VAULT/header")

expect_exit 12 "$TAIN" mount --keyring "$VAULT" "$MNT"
output_has 'no key slot for --keyring'
DBUS_SESSION_BUS_ADDRESS=unix:path=$WORK/no-bus expect_exit 1 "$TAIN" key add --passfile "$PASSFILE" "$VAULT" keyring
if grep -q 'built without' "$OUTPUT"; then skip "tain was built without libsecret"; fi
output_has 'is a keyring running'
same "$("$TAIN" key list --json "$VAULT" | "$PY" -c 'import json, sys; print(len(json.load(sys.stdin)))')" 1 "slots"
ok "without a keyring it says so, and makes no slot"

start_bus
start_keyring
expect_exit 0 "$TAIN" key add --passfile "$PASSFILE" "$VAULT" keyring
same "$(items)" 1 "items in the keyring"
expect_exit 0 "$TAIN" key list "$VAULT"
output_has 'keyring .*random, needs no Argon2id'
expect_exit 0 "$TAIN" mount --keyring "$VAULT" "$MNT"
same "$(cat "$MNT/diary")" "dear diary"
same "$("$TAIN" status --json "$MNT" | "$PY" -c 'import json, sys; print(json.load(sys.stdin)["opened_with"]["type"])')" keyring
if grep -qi 'libsecret\|libglib' "/proc/$(holder)/maps" 2>/dev/null; then fail "libsecret is in the memory of the mount"; fi
unmount_vault
expect_exit 2 "$TAIN" ls --keyring --recovery "$VAULT"
ok "the keyring opens the vault, and status says so"

stop "$keyring"
expect_exit 1 "$TAIN" ls --keyring "$VAULT"
output_has 'is a keyring running'
expect_exit 0 "$TAIN" ls --passfile "$PASSFILE" "$VAULT"
start_keyring
expect_exit 0 "$TAIN" cat --keyring "$VAULT:diary"
same "$(cat "$OUTPUT")" "dear diary"
ok "after the next login it does again; without it the password does"

slot=$("$TAIN" key list --json "$VAULT" | "$PY" -c 'import json, sys; print([s["slot"] for s in json.load(sys.stdin) if s["type"] == "keyring"][0])')
expect_exit 1 "$TAIN" key remove --keyring "$VAULT" "$("$TAIN" key list --json "$VAULT" | "$PY" -c 'import json, sys; print([s["slot"] for s in json.load(sys.stdin) if s["type"] == "password"][0])')"
output_has 'devices break'
expect_exit 0 "$TAIN" key remove --passfile "$PASSFILE" "$VAULT" "$slot"
same "$(items)" 0 "items in the keyring"
expect_exit 12 "$TAIN" ls --keyring "$VAULT"
ok "it is never the only way in, and removing the slot takes its key out of the keyring"

# The header is written, its second copy cannot be: the slot is there, so its key stays in the keyring.
rm "$VAULT/header.bak"
mkdir "$VAULT/header.bak"
expect_exit 3 "$TAIN" key add --passfile "$PASSFILE" "$VAULT" keyring
output_has 'the key slot was added'
rmdir "$VAULT/header.bak"
same "$(items)" 1 "items in the keyring"
expect_exit 0 "$TAIN" cat --keyring "$VAULT:diary"
ok "a slot of which only the second copy of the header does not know keeps its key"

stop "$keyring"
stop "$bus"
