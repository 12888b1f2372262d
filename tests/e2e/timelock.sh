#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Time locks on a real mount: every door to content, the kernel's cache, remounts, exit statuses.
# shellcheck disable=SC2034
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

need getfattr setfattr
new_vault
mount_vault
past=$MNT/.tain
denied='permission denied'
refused() { expect_exit 1 "$@"; output_has "$denied"; }

mkdir -p "$MNT/2026/11"
file=$MNT/2026/11/a.md
printf 'secret %s\n' draft >"$file"
printf 'written\n' >"$MNT/2026/w.md"
printf 'free\n' >"$MNT/free.md"
ln "$file" "$MNT/linked.md"
commit_all
sleep 1.2
before=$(date +%Y-%m-%dT%H:%M:%S.%3N)
sleep 1.2
printf 'secret %s\n' final >"$file"
commit_all
cat "$file" "$past/history/2026/11/a.md/"* "$past/at/$before/2026/11/a.md" >"$WORK/seen"  # in the kernel's cache now
same "$(sort -u "$WORK/seen" | wc -l)" 2
stat_of() { stat -c '%n %s %a %h %Y' "$1"; }
stat_of "$file" >"$WORK/stat"

# --- programs that have it open

mkfifo "$WORK/go"
"$PY" "$(dirname "$0")/timelock.py" "$file" "$MNT/2026/w.md" "$MNT/copy.md" <"$WORK/go" >"$WORK/held" 2>&1 &
holder_pid=$!
exec 6>"$WORK/go"
wait_for grep -q ready "$WORK/held" || fail "$(cat "$WORK/held")"
expect_exit 0 "$TAIN" timelock "$MNT/2026" --for 30d
output_has '2026, 4 entries, is time-locked until'
output_has 'whoever has the password can read it'
echo go >&6
exec 6>&-
status=0
wait "$holder_pid" || status=$?
same "$status" 0 "$(cat "$WORK/held")"
ok "old handles, mappings, copies in the kernel"

# --- with ordinary tools

for path in "$file" "$MNT/linked.md" "$past/at/$before/2026/11/a.md" "$past/history/2026/11/a.md/"*; do
  refused cat "$path"
  refused cp "$path" "$WORK/copy"
done
expect_exit 2 grep -r secret "$MNT/2026"
output_has "$denied"
refused dd "if=/dev/null" "of=$file" status=none
refused dd if=/dev/zero "of=$file" oflag=append conv=notrunc bs=1 count=1 status=none
refused rm -f "$file"
refused rm -f "$MNT/linked.md"
refused mv "$MNT/free.md" "$file"
refused mv "$MNT/free.md" "$MNT/2026/new"
refused mv "$file" "$MNT/out.md"
refused touch "$MNT/2026/new"
refused ln "$MNT/free.md" "$MNT/2026/new"
refused rmdir "$MNT/2026/11"
same "$(cat "$MNT/free.md")" free
stat_of "$file" | cmp - "$WORK/stat"
same "$(find "$MNT/2026" -type f | wc -l)" 2 "names are visible"
until=$(getfattr --absolute-names --only-values -n user.tain.unlock_at "$file")
[[ $until =~ ^20[0-9-]+T[0-9:]+Z$ ]] || fail "the attribute says $until"
same "$(getfattr --absolute-names --only-values -n user.tain.unlock_at "$past/at/$before/2026/11/a.md")" "$until"
expect_exit 1 setfattr -x user.tain.unlock_at "$file"
expect_exit 1 setfattr -n user.tain.unlock_at -v 2000-01-01T00:00:00Z "$file"
ok "read, write, copy, replace and remove are refused, metadata is visible"

# --- with tain

expect_exit 28 "$TAIN" cat "$VAULT:2026/11/a.md"
output_has "time-locked until $until"
expect_exit 28 "$TAIN" cat "$MNT/2026/11/a.md@1"
output_has "time-locked until $until"
expect_exit 28 "$TAIN" restore "$MNT/2026/11/a.md@1" --to "$MNT/restored.md"
[ ! -e "$MNT/restored.md" ] || fail "restored"
expect_exit 28 "$TAIN" diff "$MNT/2026/11/a.md"
if grep -q secret "$OUTPUT"; then fail "diff shows it"; fi
expect_exit 0 "$TAIN" log "$MNT/2026/11/a.md"
expect_exit 1 "$TAIN" timelock "$MNT/2026" --for 1d
output_has 'not shortened'
expect_exit 0 "$TAIN" timelock list "$MNT"
output_has ' 2026/$'
output_has ' linked\.md$'
same "$(wc -l <"$OUTPUT")" 2
ok "cat, diff and restore exit with 28"

# --- later, elsewhere

remount
refused cat "$file"
unmount_vault
expect_exit 0 "$TAIN" mount --passfile "$PASSFILE" --at "$before" "$VAULT" "$MNT"
refused cat "$file"
expect_exit 0 "$TAIN" unmount "$MNT"
for path in 2026/11/a.md 2026/11/a.md@1 linked.md; do
  expect_exit 28 "$TAIN" cat --passfile "$PASSFILE" "$VAULT:$path"
  output_has "time-locked until $until"
done
expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
expect_exit 0 "$TAIN" salvage --passfile "$PASSFILE" "$VAULT" "$WORK/salvaged.vault"
expect_exit 28 "$TAIN" cat --passfile "$PASSFILE" "$WORK/salvaged.vault:2026/11/a.md"
ok "after a remount, in mount --at, without a mount, and in what is salvaged"

# --- the end of a lock

mount_vault
expect_exit 0 "$TAIN" timelock "$MNT/free.md" --for 3s
is_free() { [ "$(cat "$MNT/free.md" 2>/dev/null)" = free ]; }
wait_for is_free || fail "it does not open"
expect_exit 28 "$TAIN" timelock "$MNT/2026" --override
output_has 'override --yes'
refused cat "$file"
expect_exit 0 "$TAIN" timelock "$MNT/2026" --override --yes
same "$(cat "$file")" "secret final"
same "$(cat "$MNT/2026/w.md")" Written "what was written through a mapping before"
touch "$MNT/2026/new"
same "$("$TAIN" log --json "$file" |
  "$PY" -c 'import json, sys; print(json.load(sys.stdin)["versions"][0]["changed"])')" "['time lock']" "the record"
remount
same "$(cat "$past/at/$before/2026/11/a.md")" "secret draft"
unmount_vault
ok "it opens by itself, and by an override that history tells of"
