#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same cases in a plain folder and in the mount: what a call gives, and all that it changes, must be equal. Some
# 6 000, as root for seven kinds of user and as an ordinary user; with TAIN_LONG=1 all 30 000.
#
# tests/e2e/posix/ has the cases; docs/posix.md the differences that are meant, posix/known.py their patterns.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

type=$(stat -f -c %T "$WORK")
[ "$type" = ext2/ext3 ] || skip "$WORK is on $type, and the comparison is with ext4 (set TMPDIR)"

conform() { "$PY" "$TAIN_E2E_STAGE/e2e/posix/conform.py" "$@"; }

new_vault
if [ "$(id -u)" = 0 ]; then
  chmod 755 "$WORK"
  mount_vault --allow-other
else
  mount_vault -o acl
fi
mkdir "$WORK/plain"
[ "$(id -u)" != 0 ] || chmod 777 "$MNT" "$WORK/plain"

conform run "$WORK/plain" "$WORK/plain.txt" >"$WORK/plain.log" &
plain=$!
conform run "$MNT" "$WORK/mount.txt" || fail "a case did not end in the mount"
wait "$plain" || fail "a case did not end in the plain folder: $(cat "$WORK/plain.log")"
conform compare "$WORK/plain.txt" "$WORK/mount.txt" || fail "the mount differs from ext4"
ok "no difference from ext4 that docs/posix.md does not name"

if command -v setfacl >/dev/null && command -v getfacl >/dev/null; then
  acls=(acl acl/file acl/sub copy copy/file copy/sub)  # getfacl -R would give them in the order of the folder
  for where in "$WORK/plain" "$MNT"; do
    mkdir "$where/acl"
    setfacl -m u:1234:rw,g:2345:r,d:u:1234:rwx,d:o::- "$where/acl"
    (cd "$where" && umask 022 && mkdir acl/sub && touch acl/file && setfacl -m u:99:x acl/file && chmod 640 acl/file && cp -a acl copy &&
      getfacl -n "${acls[@]}") >"$WORK/$(basename "$where").acl"
  done
  same "$(cat "$WORK/mnt.acl")" "$(cat "$WORK/plain.acl")" "getfacl differs"
  unmount_vault
  drop_caches
  mount_vault  # with ACLs, because the vault has some
  same "$(cd "$MNT" && getfacl -n "${acls[@]}")" "$(cat "$WORK/plain.acl")" "getfacl differs after a remount"
  ok "setfacl, getfacl and cp -a"
fi
if command -v setfacl >/dev/null; then
  unmount_vault
  # A vault of one user that never had an ACL: a request for each file that ls -l shows would be for nothing.
  expect_exit 0 "$TAIN" init --kdf-time 0 --passfile "$PASSFILE" "$WORK/private"
  mkdir "$WORK/other"
  expect_exit 0 "$TAIN" mount --passfile "$PASSFILE" "$WORK/private" "$WORK/other"
  touch "$WORK/other/f"
  setfattr -n user.a -v b "$WORK/other/f"
  expect_exit 1 setfacl -m u:1234:rw "$WORK/other/f"
  output_has "not supported"
  expect_exit 0 "$TAIN" unmount "$WORK/other"
  mount_vault
  ok "no ACLs where they could keep nobody out"
fi
# A read that reaches tain moves atime as relatime does; one of the kernel's cache cannot.
mkdir "$MNT/cold"
echo text >"$MNT/cold/f"
ln -s f "$MNT/cold/l"
cp "$MNT/cold/f" "$MNT/cold/quiet"
for name in cold/f cold/l cold/quiet cold; do touch -h -a -d 2001-01-01 "$MNT/$name"; done
unmount_vault
drop_caches
mount_vault
cat "$MNT/cold/f" >/dev/null
readlink "$MNT/cold/l" >/dev/null
dd if="$MNT/cold/quiet" iflag=noatime of=/dev/null status=none
ls "$MNT/cold" >/dev/null
year() { date -d "@$(stat -c %X "$1")" +%Y; }
for name in cold/f cold/l cold; do
  [ "$(year "$MNT/$name")" != 2001 ] || fail "reading $name left atime alone"
done
same "$(year "$MNT/cold/quiet")" 2001 "O_NOATIME moved atime"
was=$(stat -c %x "$MNT/cold/f")
unmount_vault
mount_vault
same "$(stat -c %x "$MNT/cold/f")" "$was" "atime was lost at unmount"
ok "atime"
unmount_vault
