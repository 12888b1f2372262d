#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every way into a vault mounts it alone; keys change while it is mounted; status says which one opened it.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

secret() { # secret NAME TEXT: a file for the owner only
  (umask 077 && printf '%s\n' "$2" >"$WORK/$1")
}
slot_of() { # slot_of TYPE: the id of the first key slot of that type
  "$TAIN" key list --json "$VAULT" | "$PY" -c 'import json, sys; print([s["slot"] for s in json.load(sys.stdin) if s["type"] == sys.argv[1]][0])' "$1"
}
opened_with() { "$TAIN" status --json "$MNT" | "$PY" -c 'import json, sys; print(json.load(sys.stdin)["opened_with"]["type"])'; }
mount_with() { # mount_with OPTIONS...: only these
  expect_exit 0 "$TAIN" mount "$@" "$VAULT" "$MNT"
  same "$(cat "$MNT/diary")" "dear diary" "content with $*"
}

new_vault
mount_vault
echo "dear diary" >"$MNT/diary"
same "$(opened_with)" password
secret next "a second password"
expect_exit 0 "$TAIN" key add --passfile "$PASSFILE" --sheet "$WORK/sheet" "$MNT" recovery
expect_exit 0 "$TAIN" key add --kdf-time 0 --passfile "$PASSFILE" --new-passfile "$WORK/next" --new-keyfile "$WORK/keyfile" "$MNT" keyfile
unmount_vault
ok "slots are added while the vault is mounted"

secret words "$("$PY" - "$WORK/sheet" <<'PY'
import re, sys
rows = re.findall(r"(\d+) ([a-z]+)", open(sys.argv[1], encoding="utf-8").read().split("made")[1].split("Whoever")[0])
words = dict((int(n), w) for n, w in rows)
print(" ".join(words[i].upper()[:4] for i in range(1, 16)))
PY
)"
mount_with --recovery --passfile "$WORK/words"
same "$(opened_with)" recovery
unmount_vault
mount_with --passfile "$WORK/words"
unmount_vault
mount_with --keyfile "$WORK/keyfile" --passfile "$WORK/next"
same "$(opened_with)" keyfile
expect_exit 0 "$TAIN" key remove --recovery --passfile "$WORK/words" "$MNT" "$(slot_of password)"
output_has 'does not revoke'
unmount_vault
ok "recovery words, and password with keyfile, mount it"

expect_exit 12 "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$MNT"
expect_exit 12 "$TAIN" mount --passfile "$WORK/next" "$VAULT" "$MNT"
expect_exit 0 "$TAIN" key remove --recovery --passfile "$WORK/words" "$VAULT" "$(slot_of keyfile)"
expect_exit 12 "$TAIN" mount --keyfile "$WORK/keyfile" --passfile "$WORK/next" "$VAULT" "$MNT"
expect_exit 1 "$TAIN" key remove --recovery --passfile "$WORK/words" "$VAULT" "$(slot_of recovery)"
mount_with --recovery --passfile "$WORK/words"
unmount_vault
ok "what was removed does not, and the last one cannot be"

expect_exit 0 "$TAIN" header backup "$VAULT" "$WORK/header-backup"
rm "$VAULT/header" "$VAULT/header.bak"
expect_exit 6 "$TAIN" mount --recovery --passfile "$WORK/words" "$VAULT" "$MNT"
expect_exit 0 "$TAIN" header restore --recovery --passfile "$WORK/words" "$VAULT" "$WORK/header-backup"
mount_with --recovery --passfile "$WORK/words"
unmount_vault
ok "a lost header comes back from a backup"

# What this machine has seen of the vault: a third copy, and a memory against older headers that are put back.
kept=$HOME/.local/state/tain/headers
same "$(stat -c '%a' "$kept")" 700 "mode of the folder of headers"
id=$("$TAIN" status --json "$VAULT" | "$PY" -c 'import json, sys; print(json.load(sys.stdin)["vault_id"])')
cmp "$kept/$id" "$VAULT/header" || fail "not the header that was put back last"
same "$(cat "$kept/$id.path")" "$VAULT" "where the vault was"
cp "$VAULT/header" "$WORK/older-header"
expect_exit 0 "$TAIN" key add --kdf-time 0 --recovery --passfile "$WORK/words" --new-passfile "$WORK/next" "$VAULT" password
cmp "$kept/$id" "$VAULT/header" || fail "key add left the header of before"
mount_with --passfile "$WORK/next"
if grep -q "this machine has seen" "$OUTPUT"; then fail "warns of its own header"; fi
unmount_vault
cp "$WORK/older-header" "$VAULT/header"
cp "$WORK/older-header" "$VAULT/header.bak"
expect_exit 0 "$TAIN" mount --recovery --passfile "$WORK/words" "$VAULT" "$MNT"
output_has 'is number [0-9]+, and this machine has seen number [0-9]+ on 20'
unmount_vault
expect_exit 0 "$TAIN" mount --recovery --passfile "$WORK/words" "$VAULT" "$MNT"
output_has 'this machine has seen'
unmount_vault
ok "an older header that is put back is noticed, as long as nobody changes a key"
expect_exit 0 "$TAIN" header restore --force --passfile "$WORK/next" "$VAULT"
rm "$VAULT/header" "$VAULT/header.bak"
expect_exit 6 "$TAIN" mount --passfile "$WORK/next" "$VAULT" "$MNT"
output_has 'tain header restore'
expect_exit 0 "$TAIN" header restore --passfile "$WORK/next" "$VAULT"
mount_with --passfile "$WORK/next"
if grep -q "this machine has seen" "$OUTPUT"; then fail "warns of the header that it has put back"; fi
unmount_vault
rm -r "$kept"
TAIN_HEADER_COPIES=no mount_with --passfile "$WORK/next"
unmount_vault
[ ! -e "$kept" ] || fail "a header is kept although that is switched off"
ok "with both copies gone the third one comes back, and none is kept where nobody wants it"

# On a terminal: the words are shown once, some are typed again, and then they open the vault.
expect_exit 0 "$PY" "$TAIN_E2E_STAGE/e2e/recovery_terminal.py" "$TAIN" "$WORK/terminal-vault"
ok "at a terminal the words are shown, partly asked for, and open the vault"
