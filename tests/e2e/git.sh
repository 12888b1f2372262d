#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A git repository inside the mount: commits, packs, fsck, clones.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
need git

export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=T GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=T
export GIT_COMMITTER_EMAIL=t@example.org
new_vault
mount_vault

git init -q -b main "$MNT/repo"
cd "$MNT/repo"
git config core.fsync all
for i in $(seq 200); do
  mkdir -p "dir$((i % 7))"
  seq "$i" $((i * 5)) >"dir$((i % 7))/file $i.txt"
done
chmod +x "dir1/file 1.txt"
ln -s "dir1/file 1.txt" link
git add -A
git commit -qm "200 files"
for i in $(seq 1 7 200); do echo "changed" >>"dir$((i % 7))/file $i.txt"; done
git commit -qam "changed some"
git mv dir2 renamed
git commit -qm "moved a folder"
ok "init, add, commit, mv"
git gc -q --aggressive --prune=now
git fsck --full --strict >"$OUTPUT" 2>&1
same "$(git status --porcelain)" "" "git status"
same "$(git ls-files | wc -l)" 201 "files in the index"
ok "gc, fsck, status"
git checkout -q HEAD~2
same "$(tail -n1 'dir1/file 1.txt')" 5 "an old commit checked out"
git checkout -q main
git stash list
ok "checkout back and forth"

git clone -q "$MNT/repo" "$MNT/clone" # hard links objects
git clone -q --no-local "$MNT/repo" "$WORK/outside"
git clone -q "$WORK/outside" "$MNT/back"
for repo in "$MNT/clone" "$MNT/back"; do
  same "$(git -C "$repo" rev-parse HEAD)" "$(git rev-parse HEAD)" "head of $repo"
  git -C "$repo" fsck --full --strict >"$OUTPUT" 2>&1
done
ok "clones in, out and inside"

cd "$WORK"
remount
for repo in repo clone back; do
  git -C "$MNT/$repo" fsck --full --strict >"$OUTPUT" 2>&1
  same "$(git -C "$MNT/$repo" status --porcelain)" "" "status of $repo after remounting"
done
ok "fsck and status after unmount and mount"
unmount_vault
