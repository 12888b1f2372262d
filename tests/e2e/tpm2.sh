#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A key slot of a TPM opens the vault on that TPM and no other, in whatever state TPM and header are. On TPMs of swtpm.
# shellcheck disable=SC2034
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/devices.sh
. "$(dirname "$0")/devices.sh"
need_device tpm2

opened_with() { "$TAIN" status --json "$MNT" | "$PY" -c 'import json, sys; print(json.load(sys.stdin)["opened_with"]["type"])'; }
slots() { "$TAIN" key list --json "$VAULT" | "$PY" -c 'import json, sys; print(*[s["slot"] for s in json.load(sys.stdin) if s["type"] == "tpm2"])'; }
opens_with_tpm() {
  expect_exit 0 "$TAIN" mount --tpm2 "$VAULT" "$MNT"
  same "$(cat "$MNT/diary")" "dear diary" "content"
  same "$(opened_with)" tpm2
  unmount_vault
}
cat_diary() { "$TAIN" cat "$@" "$VAULT:diary"; }
opens_with_password() {
  expect_exit 0 cat_diary --passfile "$PASSFILE"
  same "$(cat "$OUTPUT")" "dear diary" "content"
}
only_tain_speaks() { if grep -v '^tain: ' "$OUTPUT"; then fail "something else than tain wrote that"; fi; }

new_vault
mount_vault
echo "dear diary" >"$MNT/diary"
unmount_vault

# --- no TPM ---------------------------------------------------------------------------------------------------------
use_port "$(tpm_helper ports)"
expect_exit 1 "$TAIN" key add --passfile "$PASSFILE" "$VAULT" tpm2
if grep -E 'built without|\.so\.0 is not there' "$OUTPUT"; then skip "no tpm2-tss (package libtss2-dev)"; fi
output_has 'there is no TPM at swtpm:host=127.0.0.1'
output_has 'hint: TAIN_TPM2_TCTI'
only_tain_speaks
expect_exit 1 env TSS2_LOG=all+ERROR "$TAIN" key add --passfile "$PASSFILE" "$VAULT" tpm2
output_has '^ERROR:'
expect_exit 1 env TAIN_TPM2_TCTI="device:$WORK/none" "$TAIN" key add --passfile "$PASSFILE" "$VAULT" tpm2
output_has "there is no TPM at device:$WORK/none"
if [ ! -e /dev/tpmrm0 ]; then
  expect_exit 1 env -u TAIN_TPM2_TCTI "$TAIN" key add --passfile "$PASSFILE" "$VAULT" tpm2
  output_has 'there is no TPM: /dev/tpmrm0 is missing'
fi
if [ "$(id -u)" != 0 ]; then
  (umask 777 && : >"$WORK/closed")
  expect_exit 1 env TAIN_TPM2_TCTI="device:$WORK/closed" "$TAIN" key add --passfile "$PASSFILE" "$VAULT" tpm2
  output_has "this user may not use the TPM $WORK/closed"
  output_has 'hint: .*group'
fi
same "$(slots)" "" "slots made without a TPM"
ok "without a TPM it says so, and makes no slot"

# --- a slot ---------------------------------------------------------------------------------------------------------
start_tpm first
expect_exit 12 "$TAIN" mount --tpm2 "$VAULT" "$MNT"
output_has 'no key slot for --tpm2'
output_has 'hint: tain key add'
expect_exit 2 "$TAIN" mount --tpm2 --keyring "$VAULT" "$MNT"
expect_exit 0 "$TAIN" key add --passfile "$PASSFILE" "$VAULT" tpm2
output_has 'added key slot .*TPM'
slot=$(slots)
expect_exit 0 "$TAIN" key list "$VAULT"
output_has "$slot +TPM +made .*today"
opens_with_tpm
opens_with_password
expect_exit 0 cat_diary --tpm2
same "$(cat "$OUTPUT")" "dear diary" "content"
ok "a slot is made, is listed, and opens the vault"

stop_tpm
expect_exit 1 "$TAIN" mount --tpm2 "$VAULT" "$MNT"
output_has 'there is no TPM at'
output_has 'hint: .*password'
only_tain_speaks
opens_with_password
start_tpm first
opens_with_tpm
ok "without the TPM the password opens it; after a restart the TPM does again"

# --- many times: nothing stays in the TPM, which has room for three objects and three sessions ----------------------
for _ in 1 2 3 4; do
  expect_exit 0 cat_diary --tpm2
  expect_exit 0 "$TAIN" key add --tpm2 "$VAULT" tpm2
  expect_exit 0 "$TAIN" key remove --passfile "$PASSFILE" "$VAULT" "$(slots | sed 's/.* //')"
done
same "$(slots)" "$slot" "slots"
ok "nothing stays in the TPM, and one slot proves the next"

# --- who listens on the bus -----------------------------------------------------------------------------------------
listening=$(tpm_helper ports)
"$PY" "$TAIN_E2E_STAGE/e2e/tpm2.py" listen "$listening" "$port" "$WORK/bus" & # no function: $! is to be what listens
ear=$! && others+=("$ear")
wait_for tpm_helper reach "$listening" 2>/dev/null || fail "no ear on the bus"
use_port "$listening"
expect_exit 0 "$TAIN" key add --passfile "$PASSFILE" "$VAULT" tpm2
expect_exit 0 cat_diary --tpm2
expect_exit 0 cat_diary --tpm2
kill "$ear"
wait "$ear" 2>/dev/null || true
use_port "$port"
expect_exit 0 "$TAIN" key remove --passfile "$PASSFILE" "$VAULT" "$(slots | sed 's/.* //')"
"$PY" - "$WORK/bus" <<'END'
import sys
heard = [line.split() for line in open(sys.argv[1], encoding="ascii")]
created = [(int(attributes, 16), bytes.fromhex(data)) for code, attributes, data in heard if code == "0x153"]
unsealed = [(int(attributes, 16), bytes.fromhex(data)) for code, attributes, data in heard if code == "0x15e"]
assert len(created) == 1 and len(unsealed) == 3, heard
# In clear it would begin with an empty password and the length of the key.
assert all(attributes & 0x20 and data[:4] != bytes([0, 0, 0, 32]) for attributes, data in created), created
assert all(attributes & 0x40 and len(data) == 32 for attributes, data in unsealed), unsealed
assert len({data for _, data in unsealed}) == 3, "the same key was twice the same on the bus"
END
ok "the key crosses the bus encrypted, on its way in and out"

# --- other TPMs -----------------------------------------------------------------------------------------------------
stop_tpm
start_tpm second
expect_exit 12 "$TAIN" mount --tpm2 "$VAULT" "$MNT"
output_has 'this is not the tpm2 that a key slot of the vault was made with'
output_has 'hint: .*password'
only_tain_speaks
not_mounted || fail "mounted all the same"
expect_exit 0 "$TAIN" key add --passfile "$PASSFILE" "$VAULT" tpm2
opens_with_tpm
stop_tpm
start_tpm first
opens_with_tpm
ok "another TPM does not open it before it has a slot of its own"

# --- altered headers ------------------------------------------------------------------------------------------------
cp -a "$VAULT" "$WORK/intact"
altered() { # altered ARGUMENTS...: the vault as it was, but for that
  rm -rf "$VAULT"
  cp -a "$WORK/intact" "$VAULT"
  tpm_helper alter "$VAULT" "$@"
}
altered bit
expect_exit 13 cat_diary --tpm2
expect_exit 13 cat_diary --passfile "$PASSFILE"
cp "$WORK/intact/header.bak" "$VAULT/header.bak"
opens_with_tpm
altered bit hashed
expect_exit 12 "$TAIN" key remove --tpm2 "$VAULT" "$slot"
expect_exit 12 cat_diary --tpm2
expect_exit 13 cat_diary --passfile "$PASSFILE"
altered version hashed
expect_exit 14 cat_diary --tpm2
output_has 'later version of tain'
for what in length public; do
  altered "$what" hashed
  expect_exit 13 cat_diary --tpm2
  output_has 'key slot of the TPM is malformed'
done
only_tain_speaks
rm -rf "$VAULT"
cp -a "$WORK/intact" "$VAULT"
opens_with_tpm
ok "altered slots are told apart: rot, another TPM's, a later version's, malformed"

# --- removed, cleared, taken over -----------------------------------------------------------------------------------
expect_exit 0 "$TAIN" key remove --passfile "$PASSFILE" "$VAULT" "$slot"
expect_exit 12 "$TAIN" mount --tpm2 "$VAULT" "$MNT"
expect_exit 0 "$TAIN" key remove --passfile "$PASSFILE" "$VAULT" "$(slots)"
expect_exit 12 "$TAIN" mount --tpm2 "$VAULT" "$MNT"
output_has 'no key slot for --tpm2'
same "$(slots)" "" "slots after all were removed"
expect_exit 0 "$TAIN" key add --passfile "$PASSFILE" "$VAULT" tpm2
password=$("$TAIN" key list --json "$VAULT" | "$PY" -c 'import json, sys; print(*[s["slot"] for s in json.load(sys.stdin) if s["type"] == "password"])')
expect_exit 1 "$TAIN" key remove --tpm2 "$VAULT" "$password"
opens_with_tpm
ok "a slot can be removed, and cannot be the only one"

tpm_helper clear "$port"
expect_exit 12 cat_diary --tpm2
output_has 'this is not the tpm2'
expect_exit 0 "$TAIN" key add --passfile "$PASSFILE" "$VAULT" tpm2
opens_with_tpm
tpm_helper owner-password "$port"
expect_exit 1 cat_diary --tpm2
output_has "owner hierarchy has a password"
only_tain_speaks
opens_with_password
ok "a TPM that was cleared, or is somebody else's, says so"
