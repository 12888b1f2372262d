#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tain key rotate: killed at any moment, gone on with by a mount that is used meanwhile, and brought to its end.
# shellcheck disable=SC2034
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

sum_of() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum); }
rotate_and_kill() { # rotate_and_kill SECONDS: so long after it has begun, or gone on; whether it has ended by then does not matter
  cp "$VAULT/header" "$WORK/header-before"
  "$TAIN" key rotate --passfile "$PASSFILE" "$VAULT" >/dev/null 2>&1 &
  local pid=$!
  if [ "$(rotating)" != True ]; then
    while cmp -s "$VAULT/header" "$WORK/header-before" && kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
  fi
  sleep "$1"
  kill -9 "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}
rotating() { expect_exit 0 "$TAIN" status --json "$VAULT" && member rotation running; }

new_vault
mount_vault
mkdir "$MNT/notes"
for i in $(seq 300); do echo "note $i" >"$MNT/notes/$i.md"; done
head -c 60000000 /dev/urandom >"$MNT/large"
sync "$MNT/large"
echo "changed" | dd of="$MNT/large" bs=1 seek=70000 conv=notrunc status=none
sleep 1.2 # what stood for less than a second is not kept
rm "$MNT/notes/300.md"
SUM=$(sum_of "$MNT")
expect_exit 11 "$TAIN" key rotate --passfile "$PASSFILE" "$MNT"
output_has 'unmount'
unmount_vault
ok "it begins with a vault that is not mounted"

cp "$VAULT/header" "$WORK/old-header"
for seconds in 0 0.1 0.2 0.4 0.8; do
  rotate_and_kill "$seconds"
  mount_vault
  same "$(sum_of "$MNT")" "$SUM" "content after a kill"
  unmount_vault
  expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
done
ok "killed anywhere, the vault opens with the same password and is whole"

rotate_and_kill 0.1
mount_vault
echo "written meanwhile" >"$MNT/notes/new.md"
rm "$MNT/notes/1.md"
SUM=$(sum_of "$MNT")
expect_exit 0 "$TAIN" status "$MNT"
if [ "$(rotating)" = True ]; then
  expect_exit 0 "$TAIN" key rotate --json "$MNT"
  same "$(member "done")" True
fi
[ "$(rotating)" != True ] || fail "it has not ended"
same "$(sum_of "$MNT")" "$SUM" "content after it"
same "$(find "$MNT/notes" -type f | wc -l)" 299
expect_exit 0 "$TAIN" restore "$MNT/notes/300.md"
same "$(cat "$MNT/notes/300.md")" "note 300"
unmount_vault
ok "a mount goes on with it while it is used"

expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
cp "$VAULT/header" "$WORK/new-header"
cp "$WORK/old-header" "$VAULT/header"
cp "$WORK/old-header" "$VAULT/header.bak"
expect_exit 26 "$TAIN" ls --passfile "$PASSFILE" "$VAULT"
cp "$WORK/new-header" "$VAULT/header"
cp "$WORK/new-header" "$VAULT/header.bak"
mount_vault
same "$(cat "$MNT/notes/300.md")" "note 300"
unmount_vault
ok "the header of before opens nothing any more"
