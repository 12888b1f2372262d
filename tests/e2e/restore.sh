#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A folder, and the whole vault, as they were at a time: in place, undone, as a copy, after a kill. What was removed, by
# its path. A pager on a terminal.
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

need diff getfattr less
touch "$WORK/probe"
setfattr -n user.probe -v 1 "$WORK/probe" 2>/dev/null || skip "no extended attributes in $WORK to compare with"

# Everything that cp -a keeps of tree $1, and which files are one, as text; the times of folders apart.
picture() {
  (cd "$1" && find . -printf '%P %y %m %U %G %l ' \( -type d -printf '\n' -o -printf '%T@ %s %n\n' \) | sort &&
    find . -type f -print0 | sort -z | xargs -0r sha256sum &&
    find . ! -type l -print0 | sort -z | xargs -0r getfattr -d &&
    find . -type f -links +1 -printf '%i %P\n' | sort -k 2 | awk '{ if (!($1 in n)) n[$1] = NR; print n[$1], $2 }')
}
# History knows them of folders from which something was removed, and of those that nobody touched.
folder_times() { (cd "$1" && find . -type d -printf '%P %T@\n' | sort); }
now() { date +%Y-%m-%dT%H:%M:%S.%3N; }
stand() { sleep 2.1; } # what is younger than two seconds is not put into the trash

new_vault
mount_vault
past=$MNT/.tain
tree=$MNT/tree
files=200
"$PY" - "$tree" "$files" <<'END'
import os, sys
root, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    folder = os.path.join(root, "d%d" % (number % 8), "e%d" % (number % 3))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "f%d" % number)
    with open(path, "wb") as f:
        f.write(b"%d\n" % number * (number % 50))
        if number % 50 == 7:
            f.truncate(500_000)
            f.seek(300_000)
            f.write(b"beyond a hole")
    os.chmod(path, 0o600 + number % 0o100)
    if number % 10 == 0:
        os.setxattr(path, "user.number", b"%d" % number)
    if number % 20 == 1:
        os.symlink("../f%d" % number, path + ".link")
    if number % 20 == 2:
        os.link(path, path + ".hard")
    os.utime(path, ns=(10**18 + number, 10**18 + number * 1000))
os.mkfifo(os.path.join(root, "pipe"))
for folder, names, _ in os.walk(root, topdown=False):
    os.utime(folder, (1.5e9, 1.5e9))
    os.setxattr(folder, "user.folder", b"x")
os.chmod(os.path.join(root, "d3"), 0o750)
END
printf 'outside\n' >"$MNT/outside"
stand
picture "$tree" >"$WORK/first"
folder_times "$tree" >"$WORK/first.times"
first=$(now)
stand

for number in 0 8 16 24; do printf 'overwritten %s' $number >"$(find "$tree" -name f$number)"; done
sed -i 's/1/one/' "$tree/d1/e1"/f*[0-9]
rm -rf "$tree/d2" "$tree/pipe"
mv "$tree/d3" "$tree/renamed"
mv "$tree/d4/e1" "$MNT/moved"
rm "$tree"/d0/e2/*
mkdir "$tree/d5/e1/new"
printf 'new' >"$tree/d5/e1/new/file"
find "$tree" -name '*.link' -delete
rm -rf "$tree/d6/e0"
printf 'a file where a folder was' >"$tree/d6/e0"
stand
picture "$tree" >"$WORK/second"
second=$(now)
stand

as_first() { picture "$1" | diff "$WORK/first" - >"$WORK/difference" || fail "$2: $(head -n 20 "$WORK/difference")"; }
as_second() { picture "$1" | diff "$WORK/second" - >"$WORK/difference" || fail "$2: $(head -n 20 "$WORK/difference")"; }
expect_exit 0 "$TAIN" restore "$tree@$first"
output_has '^restored tree, as it was at .*: [1-9][0-9]* restored, [1-9][0-9]* put into the trash, [1-9][0-9]* unchanged'
undo=$(sed -n 's/.*to undo it: tain restore PATH@//p' "$OUTPUT")
as_first "$tree" "as it was"
for folder in d0/e0 d0/e2 d7/e0 d7; do
  same "$(folder_times "$tree" | grep "^$folder ")" "$(grep "^$folder " "$WORK/first.times")" "the time of folder $folder"
done
[ -d "$MNT/moved" ] || fail "what was moved out of the folder is gone"
expect_exit 0 "$TAIN" cat "$tree/d0/e0/f0@-1"
output_has '^overwritten 0'
remount
as_first "$tree" "as it was, after remounting"
expect_exit 0 "$TAIN" restore "$tree@$first"
output_has 'as it was at .*: [0-9]+ unchanged$'
stand
expect_exit 0 "$TAIN" restore "$tree@$undo"
as_second "$tree" "undone"
ok "a folder of $files files is as it was then, and as it was before that again"

expect_exit 0 "$TAIN" restore --json "$tree@$first" --to "$MNT/copy"
same "$(member path)" copy
same "$(member failed)" 0
as_first "$MNT/copy" "a copy"
as_second "$tree" "the folder beside the copy"
expect_exit 0 "$TAIN" restore "$tree@$first" --to "$MNT/copy"
output_has 'as copy \(restored\)'
as_first "$MNT/copy (restored)" "a second copy"
ok "a copy beside it"

rm -rf "$tree"
expect_exit 0 "$TAIN" restore "$tree@$first"
as_first "$tree" "out of the trash"
expect_exit 2 "$TAIN" restore "$tree@3"
expect_exit 1 "$TAIN" restore "$tree@2001-01-01"
unmount_vault
expect_exit 0 "$TAIN" restore --passfile "$PASSFILE" "$VAULT:tree@$second"
mount_vault
as_second "$tree" "without a mount"
ok "also when it was removed, and without a mount"

# The whole vault.
picture "$MNT" >"$WORK/whole"
stand
whole=$(now)
stand
rm -rf "${MNT:?}"/*
printf 'something else' >"$MNT/tree"
stand
expect_exit 0 "$TAIN" restore "$MNT/@$whole"
output_has '^restored the vault, as it was at'
picture "$MNT" | diff "$WORK/whole" - || fail "the whole vault"
ok "the whole vault"

# A kill in the middle, and once more.
restore_and_kill() {
  local pid
  pid=$(holder)
  "$TAIN" restore "$tree@$first" >"$WORK/killed" 2>&1 &
  wait_for [ -e "$tree/d2" ]
  kill -9 "$pid"
  wait %% || true
  wait_for not_mounted
}
restore_and_kill
mount_vault
expect_exit 0 "$TAIN" restore "$tree@$first"
as_first "$tree" "after a kill"
ok "a restore that was killed goes on"

# --- what was removed, by its path

for number in 1 2 3; do
  printf 'state %s\n' $number >"$MNT/new.tmp"
  mv "$MNT/new.tmp" "$MNT/note.md"
  sleep 0.1
done
then=$(now)
sleep 1.2
rm "$MNT/note.md"
expect_exit 0 "$TAIN" log "$MNT/note.md"
output_has '^note.md: in the trash, since'
same "$(grep -c '^ *[0-9]' "$OUTPUT")" 3 "versions of what was removed"
same "$("$TAIN" cat "$MNT/note.md@1" 2>/dev/null)" "state 1"
same "$("$TAIN" cat "$MNT/note.md" 2>/dev/null)" "state 3"
same "$("$TAIN" cat "$MNT/note.md@$then" 2>/dev/null)" "state 3"
"$TAIN" diff "$MNT/note.md" | grep -q '^+state 3' || fail "diff of what was removed"
same "$(find "$MNT/.tain" -mindepth 1 -maxdepth 1 -name removed)" "" "the folder for that is listed"
printf 'a name\n' >"$MNT/note.md@2"
same "$("$TAIN" cat "$MNT/note.md@2")" "a name"
same "$("$TAIN" cat "$MNT/note.md@@2" 2>/dev/null)" "state 2"
expect_exit 0 "$TAIN" restore "$MNT/note.md@@2"
same "$(cat "$MNT/note.md")" "state 2"
ok "what was removed has its log, its diff and its versions, and a name with an @ is a name"

# --- purge

printf 'first\n' >"$MNT/private.md"
mkdir "$MNT/private"
printf 'in a folder\n' >"$MNT/private/a.md"
cat "$MNT/private.md" "$MNT/private/a.md" >/dev/null
sleep 1.2
printf 'second\n' >"$MNT/private.md"
then=$(now)
sleep 1.2
expect_exit 0 "$TAIN" purge --yes "$MNT/private.md"
output_has '^removed private.md for good: 1 entry'
[ ! -e "$MNT/private.md" ] || fail "purged, and still there"
expect_exit 1 "$TAIN" log "$MNT/private.md"
[ ! -e "$past/at/$then/private.md" ] || fail "purged, and still in .tain/at"
expect_exit 0 "$TAIN" purge --yes --json "$MNT/private"
same "$(member entries)" 2
printf 'in use\n' >"$MNT/private.md"
sleep 1.2
exec 7<"$MNT/private.md"
expect_exit 3 "$TAIN" purge --yes "$MNT/private.md"
exec 7<&-
expect_exit 0 "$TAIN" purge --yes "$MNT/private.md"
expect_exit 1 "$TAIN" cat "$MNT/private.md"
ok "what is purged is gone with its history, once nobody uses it"

# --- a pager on a terminal

for number in $(seq 60); do
  printf 'state %s\n' "$number" >"$MNT/new.tmp"
  mv "$MNT/new.tmp" "$MNT/long.md"
done
"$PY" "$TAIN_E2E_STAGE/e2e/typing.py" --show $'/content\r' $'\x03' G q -- "$TAIN" log "$MNT/long.md" >"$WORK/drawn" ||
  fail "Ctrl-C in less ends tain with $?"
grep -q ' 60  ' "$WORK/drawn" || fail "less has not shown the newest version"
grep -Eq '  1  .*made' "$WORK/drawn" || fail "less does not go on after Ctrl-C"
[ ! -e "$HOME/.lesshst" ] || fail "what was searched for is in ~/.lesshst"
ok "Ctrl-C is the pager's, and less remembers nothing"
unmount_vault
expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
ok "the vault is sound"
