#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A small real disk fills up in the middle of the work: ENOSPC and nothing else, nothing acknowledged is lost, deleting
# works, and after that everything goes on without a remount. Needs root: it mounts a file as a disk.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || skip "mounting a small disk needs root"
need mkfs.ext4 losetup

DISK=$WORK/disk
make_disk() { # ext4 with a journal of its own, or tmpfs
  mkdir -p "$DISK"
  if [ "$1" = tmpfs ]; then
    mount -t tmpfs -o size=48m tmpfs "$DISK"
  else
    truncate -s 64M "$WORK/image"
    mkfs.ext4 -q -F -m 0 "$WORK/image"
    mount -o loop "$WORK/image" "$DISK" 2>"$OUTPUT" || skip "no loop devices: $(cat "$OUTPUT")"
  fi
}
drop_disk() {
  umount "$DISK"
  rm -f "$WORK/image"
}
drop_everything() {
  local status=$?
  set +e
  if mounted "$MNT"; then "$TAIN" unmount --force "$MNT"; fi
  if mounted "$DISK"; then umount "$DISK"; fi
  (exit $status)
  cleanup
}
trap drop_everything EXIT
full() { "$PY" "$TAIN_E2E_STAGE/e2e/diskfull.py" "$MNT" "$WORK/oracle" "$@"; }
hold_pid() { sed -n 1p "$VAULT/lock"; }

combinations="ext4:saves ext4:untar tmpfs:sqlite tmpfs:big"
[ -z "$LONG" ] || combinations="$combinations tmpfs:saves tmpfs:untar ext4:sqlite ext4:big"
for combination in $combinations; do
  kind=${combination%:*}
  what=${combination#*:}
  make_disk "$kind"
  VAULT=$DISK/vault
  rm -rf "$WORK/oracle"
  mkdir "$WORK/oracle"
  new_vault
  mount_vault
  echo "before" >"$MNT/before"
  sync "$MNT/before"
  full "$what"
  # Full now: what is there can be read, and the mount says why it refuses.
  same "$(cat "$MNT/before")" before "on a full disk"
  full check
  case $what in
    untar) victim=$MNT/d0 ;;
    saves) victim=$MNT/doc0 ;;
    sqlite) victim=$MNT/db ;;
    big) victim=$MNT/big ;;
  esac
  if [ "$what" = saves ]; then
    # A crash on a full disk, and a mount on one.
    pid=$(hold_pid)
    kill -9 "$pid"
    wait_for not_mounted || fail "$MNT is still mounted"
    mount_vault
    full check
  fi
  rm -rf "$victim"* "$MNT"/d? "$MNT"/doc1*
  rm -rf "$WORK/oracle"
  mkdir "$WORK/oracle"
  # Room again, without a remount.
  echo "after" >"$MNT/after"
  sync "$MNT/after" || fail "no room after deleting on $kind, $what"
  head -c 3000000 /dev/urandom >"$WORK/some"
  cp "$WORK/some" "$MNT/some"
  sync "$MNT/some"
  unmount_vault
  mount_vault
  cmp "$WORK/some" "$MNT/some"
  same "$(cat "$MNT/after")" after "after a remount"
  unmount_vault
  drop_disk
  ok "$what on $kind"
done
