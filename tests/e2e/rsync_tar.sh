#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copies into the mount and back with rsync -aHAX and tar: nothing may be lost on the way.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
need tar

fsops() { "$PY" "$TAIN_E2E_STAGE/e2e/fsops.py" "$@"; }

new_vault
mount_vault

mkdir "$WORK/source"
fsops make "$WORK/source"
for i in $(seq 300); do
  mkdir -p "$WORK/source/many/$((i % 10))"
  seq "$i" $((i * 3)) >"$WORK/source/many/$((i % 10))/$i"
done
find "$WORK/source" -type d -exec touch -d '2020-02-02 02:02:02.123456789 UTC' {} +

# ACLs travel only where the mount has them.
acl=
if command -v setfacl >/dev/null; then
  touch "$MNT/probe" "$WORK/source/with-acl"
  if setfacl -m u:nobody:r "$MNT/probe" 2>/dev/null && setfacl -m u:nobody:r "$WORK/source/with-acl" 2>/dev/null; then
    acl=" and ACLs"
  fi
  rm "$MNT/probe"
fi
fsops save "$WORK/source" "$WORK/tree"

if command -v rsync >/dev/null; then
  rsync -aHAX "$WORK/source/" "$MNT/rsync/"
  fsops compare "$MNT/rsync" "$WORK/tree"
  same "$(rsync -aHAXic --delete "$WORK/source/" "$MNT/rsync/")" "" "a second rsync finds work"
  remount
  rsync -aHAX "$MNT/rsync/" "$WORK/back/"
  fsops compare "$WORK/back" "$WORK/tree"
  [ -z "$acl" ] || same "$(getfacl -cp "$WORK/back/with-acl")" "$(getfacl -cp "$WORK/source/with-acl")" "ACL"
  ok "rsync -aHAX there and back: hard links, xattrs$acl, times"
  echo "appended" >>"$WORK/source/many/1/1"
  rsync -aHAX --inplace --no-whole-file "$WORK/source/" "$MNT/rsync/"
  rsync -aHAX --delete "$WORK/source/" "$MNT/rsync/"
  diff -r "$WORK/source/many" "$MNT/rsync/many"
  ok "rsync of a change, in place"
  fsops save "$WORK/source" "$WORK/tree"
fi

tar=(tar --xattrs)
[ -z "$acl" ] || tar+=(--acls)
mkdir "$MNT/tar"
"${tar[@]}" -C "$WORK/source" -cf "$MNT/in.tar" .
"${tar[@]}" -C "$MNT/tar" -xpf "$MNT/in.tar"
tar -C "$MNT/tar" -df "$MNT/in.tar"
fsops compare "$MNT/tar" "$WORK/tree"
remount
"${tar[@]}" -C "$MNT/tar" --sparse -cf "$WORK/out.tar" .
mkdir "$WORK/out"
"${tar[@]}" -C "$WORK/out" -xpf "$WORK/out.tar"
fsops compare "$WORK/out" "$WORK/tree"
ok "tar there and back"
cp -a "$MNT/tar" "$MNT/copy"
fsops compare "$MNT/copy" "$WORK/tree"
mv "$MNT/copy" "$WORK/moved"
fsops compare "$WORK/moved" "$WORK/tree"
ok "cp -a inside, mv out"
unmount_vault
