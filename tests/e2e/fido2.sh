#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Key slots of FIDO2 tokens: through libfido2 as it is installed, with tokens that are in software (fido2_token.py).
# shellcheck disable=SC2034
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/devices.sh
. "$(dirname "$0")/devices.sh"
need_device fido2
build_shim

secret() { # secret NAME TEXT: a file for the owner only
  (umask 077 && printf '%s\n' "$2" >"$WORK/$1")
}
# The program where the plugged in tokens are the only ones.
tain() { with_tokens "$TAIN" "$@"; }
mount_with() { # mount_with OPTIONS...: only these
  expect_exit 0 tain mount "$@" "$VAULT" "$MNT"
  mv "$OUTPUT" "$WORK/mount.log"
  same "$(cat "$MNT/diary")" "dear diary" "content with $*"
  same "$("$TAIN" status --json "$MNT" | "$PY" -c 'import json, sys; print(json.load(sys.stdin)["opened_with"]["type"])')" fido2
  mv "$WORK/mount.log" "$OUTPUT"
}
slots() { # slots: the ids of the FIDO2 slots
  "$TAIN" key list --json "$VAULT" | "$PY" -c 'import json, sys; print(*[s["slot"] for s in json.load(sys.stdin) if s["type"] == "fido2"])'
}
add() { expect_exit 0 tain key add --passfile "$PASSFILE" "$@" "$VAULT" fido2; }
remove() { expect_exit 0 "$TAIN" key remove --passfile "$PASSFILE" "$VAULT" "$1"; }

new_vault
expect_exit 1 tain key add --passfile "$PASSFILE" "$VAULT" fido2
if grep "built without libfido2" "$OUTPUT" >/dev/null; then skip "built without libfido2 (package libfido2-dev)"; fi
output_has "there is no FIDO2 token"
output_has "plug it in"
mount_vault
echo "dear diary" >"$MNT/diary"
unmount_vault

# --- without a PIN --------------------------------------------------------------------------------------------------
expect_exit 12 tain mount --fido2 "$VAULT" "$MNT"
output_has "no key slot for --fido2"
plug_in mine
add
output_has "touch the FIDO2 token"
"$TAIN" key list "$VAULT" 2>/dev/null | grep "^$(slots)  FIDO2 token .* random, needs no Argon2id" >/dev/null || fail "key list does not show it"
mount_with --fido2
output_has "touch the FIDO2 token"
unmount_vault
ok "a token without a PIN opens the vault"

plug_in mine
mount_with --fido2
unmount_vault
pull_out mine
plug_in mine
expect_exit 0 env TAIN_FIDO2_DEVICE="$WORK/mine.socket" LD_PRELOAD="$WORK/shim.so" TAIN_TEST_FIDO2_TOKENS="$WORK/mine.socket" \
  "$TAIN" ls --fido2 "$VAULT"
output_has diary
ok "it does so after it was pulled out, and where its path is given"

pull_out mine
plug_in other
expect_exit 12 tain mount --fido2 "$VAULT" "$MNT"
output_has "not the fido2 that a key slot of the vault was made with"
if grep "touch" "$OUTPUT" >/dev/null; then fail "asks for a touch that is for nothing"; fi
pull_out other
expect_exit 1 tain mount --fido2 "$VAULT" "$MNT"
output_has "there is no FIDO2 token"
expect_exit 1 env TAIN_FIDO2_DEVICE="$WORK/gone" "$TAIN" mount --fido2 "$VAULT" "$MNT"
output_has "there is no FIDO2 token at $WORK/gone"
mount_vault
unmount_vault
ok "another token and no token do not, and the password still does"

plug_in other
plug_in mine
mount_with --fido2
unmount_vault
expect_exit 1 tain key add --passfile "$PASSFILE" "$VAULT" fido2
output_has "several FIDO2 tokens: "
output_has "TAIN_FIDO2_DEVICE=$WORK/"
TAIN_FIDO2_DEVICE=$WORK/other.socket add
pull_out mine
mount_with --fido2
unmount_vault
read -r first second <<<"$(slots)"
[ -n "$second" ] || fail "not two slots"
pull_out other
plug_in mine
expect_exit 0 tain key remove --fido2 "$VAULT" "$second"
same "$(slots)" "$first"
ok "of two tokens the one opens it that can, and a slot is made with one that is named"

plug_in mine --no-touch
expect_exit 1 tain mount --fido2 "$VAULT" "$MNT"
output_has "nobody touched the FIDO2 token in time"
expect_exit 1 tain key add --passfile "$PASSFILE" "$VAULT" fido2
output_has "nobody touched"
remove "$(slots)"
plug_in mine
expect_exit 12 tain mount --fido2 "$VAULT" "$MNT"
output_has "no key slot for --fido2"
ok "it wants to be touched, and a slot that was removed does not open"

# --- with a PIN -----------------------------------------------------------------------------------------------------
secret pin 1234
secret wrong 4321
secret short 123
for protocol in 1 2; do
  plug_in "pin$protocol" --pin 1234 --protocol "$protocol"
  pull_out mine
  add --new-passfile "$WORK/pin"
  mount_with --fido2 --passfile "$WORK/pin"
  unmount_vault
  expect_exit 12 tain mount --fido2 --passfile "$WORK/wrong" "$VAULT" "$MNT"
  output_has "wrong PIN of the FIDO2 token; 7 tries are left"
  expect_exit 12 tain mount --fido2 --passfile "$WORK/short" "$VAULT" "$MNT"
  output_has "the token was not asked"
  expect_exit 12 tain mount --fido2 --passfile "$WORK/wrong" "$VAULT" "$MNT"
  output_has "6 tries are left"
  expect_exit 12 tain key add --passfile "$PASSFILE" --new-passfile "$WORK/short" "$VAULT" fido2
  expect_exit 1 tain key add --passfile "$PASSFILE" --new-passfile "$WORK/wrong" "$VAULT" fido2
  output_has "takes no PIN any more"
  expect_exit 1 tain mount --fido2 --passfile "$WORK/pin" "$VAULT" "$MNT"
  output_has "pull it out, plug it in"
  plug_in "pin$protocol" --protocol "$protocol"
  mount_with --fido2 --passfile "$WORK/pin"
  unmount_vault
  expect_exit 12 tain mount --fido2 --passfile "$WORK/wrong" "$VAULT" "$MNT"
  output_has "7 tries are left"

  # Another token never sees this one's PIN, and does not count it as a wrong one.
  plug_in mine --pin 9999
  mount_with --fido2 --passfile "$WORK/pin"
  unmount_vault
  grep '"tries": 8' "$WORK/mine/state.json" >/dev/null || fail "the other token was asked"
  pull_out "pin$protocol"
  expect_exit 12 tain mount --fido2 --passfile "$WORK/pin" "$VAULT" "$MNT"
  output_has "not the fido2 that"
  grep '"tries": 8' "$WORK/mine/state.json" >/dev/null || fail "the other token was asked"
  remove "$(slots)"
  ok "a token with a PIN asks for it, and says how many tries are left (protocol $protocol)"
done

plug_in locked --pin 1234
pull_out mine
add --new-passfile "$WORK/pin"
for left in 7 6 - 5 4 - 3; do
  if [ $left = - ]; then
    plug_in locked
  else
    expect_exit 12 tain mount --fido2 --passfile "$WORK/wrong" "$VAULT" "$MNT"
  fi
done
output_has "; 3 tries are left"
plug_in locked
for left in 2 1; do
  expect_exit 12 tain mount --fido2 --passfile "$WORK/wrong" "$VAULT" "$MNT"
done
output_has "; 1 try is left"
expect_exit 1 tain mount --fido2 --passfile "$WORK/wrong" "$VAULT" "$MNT"
output_has "locked for good"
plug_in locked
expect_exit 1 tain mount --fido2 --passfile "$WORK/pin" "$VAULT" "$MNT"
output_has "locked for good"
remove "$(slots)"
pull_out locked
ok "a token that locked itself says so"

# --- typed at a terminal ----------------------------------------------------------------------------------------------
plug_in typed --pin 1234
add --new-passfile "$WORK/pin"
typing() { # typing KEYS... -- ARGUMENTS OF TAIN...
  env LD_PRELOAD="$WORK/shim.so" TAIN_TEST_FIDO2_TOKENS="$WORK/typed.socket" "$PY" "$TAIN_E2E_STAGE/e2e/typing.py" --show "$@"
}
expect_exit 12 typing $'4321\r' -- "$TAIN" ls --fido2 "$VAULT"
output_has "wrong PIN of the FIDO2 token; 7 tries are left"
if grep 4321 "$OUTPUT" >/dev/null; then fail "the PIN was shown"; fi
expect_exit 0 typing $'1234\r' -- "$TAIN" ls --fido2 "$VAULT"
output_has diary
output_has "PIN"
if grep 1234 "$OUTPUT" >/dev/null; then fail "the PIN was shown"; fi
remove "$(slots)"
pull_out typed
ok "a PIN is typed at the terminal, and not shown"

# --- tokens that cannot ---------------------------------------------------------------------------------------------
plug_in old --no-hmac-secret
expect_exit 1 tain key add --passfile "$PASSFILE" "$VAULT" fido2
output_has "does not know hmac-secret"
plug_in old --credential-id-size 223
expect_exit 1 tain key add --passfile "$PASSFILE" "$VAULT" fido2
output_has "credential id of 223 bytes"
same "$(slots)" "" "slots of tokens that cannot"
plug_in old --credential-id-size 222
add
mount_with --fido2
unmount_vault
ok "a token that cannot keep a key says so"

plug_in old --pin 1234
mount_with --fido2
unmount_vault
ok "a PIN that came later changes nothing for a slot without"
