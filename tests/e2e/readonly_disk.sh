#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A vault on a file system that cannot be written to (a backup's snapshot, a disk that fails): everything that only reads
# works, also on what a crash left in the journal; a mount says why it does not. Needs root for the bind mount.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || skip "a read-only bind mount needs root"

RO=$WORK/ro
mkdir "$RO"
drop_mounts() {
  local status=$?
  set +e
  if mounted "$RO"; then umount "$RO"; fi
  (exit $status)
  cleanup
}
trap drop_mounts EXIT

new_vault
mount_vault
mkdir "$MNT/folder"
echo "committed" >"$MNT/folder/one"
head -c 300000 /dev/urandom >"$MNT/large"
cp "$MNT/large" "$WORK/large"
remount
echo "only in the journal" >"$MNT/two"
sync "$MNT/two"
pid=$(holder)
kill -9 "$pid"
wait_for gone "$pid" || fail "process $pid lives after kill -9"
wait_for not_mounted || fail "$MNT is still mounted"
mount --bind "$WORK" "$RO"
mount -o remount,bind,ro "$RO"
before=$(find "$VAULT" -type f -exec sha256sum {} +)

expect_exit 0 "$TAIN" ls --passfile "$PASSFILE" "$RO/vault" /
output_has "two"
output_has "folder"
expect_exit 0 "$TAIN" cat --passfile "$PASSFILE" "$RO/vault" /two
same "$(cat "$OUTPUT")" "only in the journal" "what a crash left"
"$TAIN" cat --passfile "$PASSFILE" "$RO/vault" /large </dev/null | cmp - "$WORK/large"
expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$RO/vault"
expect_exit 0 "$TAIN" scrub --passfile "$PASSFILE" "$RO/vault"
expect_exit 0 "$TAIN" status "$RO/vault"
expect_exit 0 "$TAIN" salvage --passfile "$PASSFILE" "$RO/vault" "$WORK/saved"
ok "ls, cat, check, scrub, status and salvage"

refused() { # refused COMMAND…: names the read-only file system, and leaves nothing
  local status=0
  "$TAIN" "$@" >"$OUTPUT" 2>&1 </dev/null || status=$?
  [ "$status" != 0 ] || fail "'tain $1' on a read-only file system"
  output_has "read-only file system"
}
refused mount --passfile "$PASSFILE" "$RO/vault" "$MNT"
if mounted "$MNT"; then fail "mounted in spite of the error"; fi
refused mount --ro --passfile "$PASSFILE" "$RO/vault" "$MNT"
ok "mount says why not"

same "$(find "$VAULT" -type f -exec sha256sum {} +)" "$before" "the vault's files"
umount "$RO"
mount_vault
same "$(cat "$MNT/two")" "only in the journal" "at the next mount"
unmount_vault
