#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every file operation on a mount, and that all of it is still there after the next one.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

fsops() { "$PY" "$TAIN_E2E_STAGE/e2e/fsops.py" "$@"; }

new_vault
mount_vault

options=$(awk -v m="$MNT" '$2 == m { print $4 }' /proc/self/mounts)
for option in nosuid nodev; do
  [[ ,$options, == *,$option,* ]] || fail "mounted without $option: $options"
done
ok "nosuid, nodev"

mkdir "$MNT/ops"
fsops run "$MNT/ops"
chmod -R u+rwx "$MNT/ops"
rm -rf "$MNT/ops"
[ ! -e "$MNT/ops" ] || fail "rm -rf left something"
ok "rm -rf of it all"

fsops make "$MNT"
fsops save "$MNT" "$WORK/tree"
drop_caches
fsops compare "$MNT" "$WORK/tree" ino
ok "the same after dropping the caches"
remount
fsops compare "$MNT" "$WORK/tree" ino
ok "the same after unmount and mount, inode numbers too"

# Nothing on the mount keeps a deleted file's name busy, and a mount without changes changes nothing.
unmount_vault
mount_vault
fsops compare "$MNT" "$WORK/tree" ino
unmount_vault
