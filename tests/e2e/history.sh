#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The past of a mount, with ordinary tools: .tain/, log, diff, cat, restore, the trash, mount --at.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

need diff getfattr
touch "$WORK/probe"
setfattr -n user.probe -v 1 "$WORK/probe" 2>/dev/null || skip "no extended attributes in $WORK to compare with"

# Everything that cp -a keeps of tree $1, as text, but for the folders' own times.
picture() {
  (cd "$1" && find . -mindepth 1 -printf '%P %y %m %U %G %l ' \( -type d -printf '\n' -o -printf '%s %T@\n' \) | sort &&
    find . -type f -print0 | sort -z | xargs -0r sha256sum &&
    find . -mindepth 1 ! -type l -print0 | sort -z | xargs -0r getfattr -d)
}
versions_of() { "$TAIN" log --json "$1" | "$PY" -c 'import json, sys; print(len(json.load(sys.stdin)["versions"]))'; }

new_vault
mount_vault
past=$MNT/.tain

# --- the folder itself

mkdir -p "$MNT/2026/11"
printf 'first\n' >"$MNT/2026/11/day.md"
seq 1 100000 >"$MNT/big.txt"
ln -s 2026/11/day.md "$MNT/link"
setfattr -n user.mood -v good "$MNT/2026/11/day.md"
chmod 0640 "$MNT/2026/11/day.md"
touch -d '2020-02-02 02:02:02.5' "$MNT/big.txt"
same "$(find "$MNT" -name .tain)" "" "find sees the folder"
names() { find "$1" -mindepth 1 -maxdepth 1 -printf '%P\n' | sort | tr '\n' ' '; }
same "$(names "$MNT")" "2026 big.txt link " "what is listed in the root"
same "$(names "$past")" "at conflicts history status.json trash "
"$PY" -c 'import json, sys; status = json.load(open(sys.argv[1])); assert status["mounted"] and status["entries"] == 5, status' \
  "$past/status.json"
same "$("$TAIN" status --json "$MNT" | "$PY" -c 'import json, sys; print(sorted(json.load(sys.stdin)))')" \
  "$("$PY" -c 'import json, sys; print(sorted(json.load(open(sys.argv[1]))))' "$past/status.json")" "status.json"
cp "$past/status.json" "$WORK/status.json"
ok "hidden, and status.json says what tain status says"

for attempt in "touch $past/new" "mkdir $past/trash/new" "rm -rf $past/at" "ln $MNT/big.txt $past/new" "mv $MNT/big.txt $past/new" \
  "mv $past/status.json $MNT/new" "cp /dev/null $past/status.json"; do
  # shellcheck disable=SC2086
  expect_exit 1 $attempt
  output_has 'read-only file system'
done
expect_exit 1 mkdir "$past"
output_has 'exists'
[ -e "$MNT/big.txt" ] || fail "a refused mv took the file"
ok "read-only, and its name is taken"

# --- a time that is over

sleep 1.2
picture "$MNT" >"$WORK/first.picture"
first=$(date +%Y-%m-%dT%H:%M:%S.%3N)
cp -a "$MNT" "$WORK/first"
sleep 1.2
printf 'second and longer\n' >"$MNT/2026/11/day.md"
printf 'x' | dd of="$MNT/big.txt" bs=1 seek=300000 conv=notrunc status=none
setfattr -n user.mood -v bad "$MNT/2026/11/day.md"
rm "$MNT/link"
mv "$MNT/2026" "$MNT/moved"
mkdir "$MNT/new"
printf 'new' >"$MNT/new/file"

look_at_first() {
  local then=$past/at/$first
  diff -r "$then" "$WORK/first" || fail "diff -r"
  picture "$then" | diff - "$WORK/first.picture" || fail "modes, sizes, times or attributes differ"
  rm -rf "$WORK/copy"
  cp -a "$then" "$WORK/copy"
  picture "$WORK/copy" | diff - "$WORK/first.picture" || fail "the copy is not the same"
  same "$(grep -rl first "$then")" "$then/2026/11/day.md" "grep -r"
  same "$(find "$then" -type f | wc -l)" 2 "find"
  ls -lR "$then" >/dev/null
  [ "$(du -sk "$then" | cut -f1)" -ge 500 ] || fail "du: $(du -sk "$then")"
  "$PY" - "$then/big.txt" "$WORK/first/big.txt" <<'END'
import mmap, sys
with open(sys.argv[1], "rb") as f, open(sys.argv[2], "rb") as g:
    assert mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:] == g.read()
END
}
look_at_first
ok "the vault at a time, through diff, cp -a, grep -r, find, ls -lR, du and mmap"
diff -r "$past/at/now" "$MNT" || fail "now is not the present"
[ ! -e "$past/at/tomorrows" ] || fail "that is no time"
[ ! -e "$past/at/$first/new" ] || fail "what was not there is"
remount
look_at_first
ok "the same after unmount and mount"

# A reader keeps its state while the present changes.
exec 7<"$past/at/now/moved/11/day.md"
printf 'third\n' >"$MNT/moved/11/day.md"
same "$(cat <&7)" "second and longer" "an open file"
exec 7<&-
ok "an open file keeps its state"

# --- history/, log, diff, cat, restore

file=$MNT/moved/11/day.md
same "$(versions_of "$file")" 3 "versions"
folder=$past/history/moved/11/day.md
same "$(cat "$folder"/*.md)" "$(printf 'first\nsecond and longer\nthird')" "history/"
same "$("$TAIN" cat "$file@1")" first
same "$("$TAIN" cat "$file@$first")" first
same "$("$TAIN" cat "$VAULT:moved/11/day.md@-1")" "second and longer"
same "$("$TAIN" cat "$MNT" moved/11/day.md@now)" third
"$TAIN" diff "$file" | grep -q '^+third' || fail "diff"
"$TAIN" diff "$file@1" "$file@2" | grep -q '^-first' || fail "diff of two"
ok "log, diff, cat and history/ agree"
cat "$file" >/dev/null
expect_exit 0 "$TAIN" restore "$file@1"
same "$(cat "$file")" first "restored"
same "$(getfattr --only-values -n user.mood "$file" 2>/dev/null)" good "attribute of what was restored"
same "$(stat -c %a "$file")" 640
same "$(versions_of "$file")" 4
same "$("$TAIN" cat "$file@-1")" third "what was there before the restore"
expect_exit 0 "$TAIN" restore "$file@2" --to "$MNT/big.txt"
output_has 'as big \(restored\).txt'
same "$(cat "$MNT/big (restored).txt")" "second and longer"
ok "restore makes a new version, and takes nobody's place"
unmount_vault
same "$("$TAIN" cat --passfile "$PASSFILE" "$VAULT:moved/11/day.md@1")" first "cat without a mount"
"$TAIN" log --passfile "$PASSFILE" "$VAULT:moved/11/day.md" >"$OUTPUT"
same "$(wc -l <"$OUTPUT")" 4 "log without a mount"
ok "without a mount too"

# --- mount --at

mount_vault --at "$first"
diff -r "$MNT" "$WORK/first" || fail "mount --at"
picture "$MNT" | diff - "$WORK/first.picture" || fail "mount --at: modes, sizes, times or attributes"
expect_exit 1 touch "$MNT/new"
output_has 'read-only'
"$TAIN" status --json "$MNT" | grep -q '"as_of"' || fail "status says nothing of the time"
unmount_vault
expect_exit 2 "$TAIN" mount --passfile "$PASSFILE" --at 'the day before' "$VAULT" "$MNT"
mount_vault
ok "mount --at"

# --- editors' ways to save, 20 times each

vim=$(command -v vim || command -v vim.basic || command -v vim.tiny || true)
# save HOW FILE NUMBER
save() {
  case $1 in
    vim-*) (cd "$MNT" && "$vim" -es -u NONE -N -i NONE -c "set writebackup backupcopy=${1#vim-} nobackup backupdir=. backupskip= directory=. fsync" \
      -c "%s/state .*/state $3/" -c wq "$(basename "$2")" </dev/null) ;;
    emacs*) emacs --batch -Q --eval "(progn (setq make-backup-files t create-lockfiles t backup-enable-predicate (lambda (_) t)
        backup-by-copying $([ "$1" = emacs-copy ] && echo t || echo nil) file-precious-flag $([ "$1" = emacs-precious ] && echo t || echo nil))
        (find-file \"$2\") (erase-buffer) (insert \"state $3\\n\") (save-buffer))" >/dev/null 2>&1 </dev/null ;;
    ed) printf '%s\n' "s/state .*/state $3/" w q | ed -s "$2" ;;
    ex) "$vim" -e -s -u NONE -i NONE -c "s/state .*/state $3/" -c wq "$2" </dev/null ;;
    perl) perl -pi -e "s/state .*/state $3/" "$2" ;;
    patch) printf -- '--- a\n+++ b\n@@ -1 +1 @@\n-%s\n+state %s\n' "$(cat "$2")" "$3" | patch -s -r - "$2" ;;
    gio) printf 'state %s\n' "$3" | gio save "$2" ;; # as gedit and every other program of GNOME
    gio-backup) printf 'state %s\n' "$3" | gio save -b "$2" ;;
    gio-unlink) printf 'state %s\n' "$3" | gio save -u "$2" ;;
    nvim) nvim -es -u NONE -i NONE -c "s/state .*/state $3/" -c wq "$2" </dev/null ;;
    nvi) printf '%s\n' "s/state .*/state $3/" wq | nvi -e -s "$2" 2>/dev/null ;; # it wants a terminal, and does without
    kak) kak -n -ui dummy -f "%sstate .*<ret>cstate $3<esc>" "$2" >/dev/null 2>&1 </dev/null ;;
    jed) jed -batch -n -f "find_file(\"$2\"); erase_buffer(); insert(\"state $3\\n\"); save_buffer(); exit_jed();" >/dev/null 2>&1 </dev/null ;;
    sed) sed -i "s/state .*/state $3/" "$2" ;;
    mv) printf 'state %s\n' "$3" >"$2.tmp" && mv "$2.tmp" "$2" ;;
    again) rm "$2" && printf 'state %s\n' "$3" >"$2" ;;
    in-place) printf 'state %s\n' "$3" >"$2" ;;
  esac
}
hows="sed mv again in-place"
if [ -n "$vim" ]; then hows="vim-yes vim-no vim-auto ex $hows"; fi
if command -v emacs >/dev/null; then hows="emacs emacs-copy emacs-precious $hows"; fi
if command -v gio >/dev/null; then hows="gio gio-backup gio-unlink $hows"; fi
for how in ed perl patch nvim nvi kak jed; do
  if command -v $how >/dev/null; then hows="$how $hows"; fi
done
saves=20
if [ "$WHO" = root ] && [ -z "$LONG" ]; then saves=6; fi # twenty as an ordinary user, or in the long run
# Those that want a terminal: each saves all states in one session, beside the others.
# session HOW FILE
session() {
  local keys=() number
  for number in $(seq 1 $saves); do
    case $1 in
      nano) keys+=($'\x0bstate '"$number"$'\x0f\r') ;;
      mg) keys+=($'\x01\x0bstate '"$number"$'\x18\x13') ;;
      joe) keys+=($'\x0bu\x0astate '"$number"$'\x0bd\r') ;;
      micro) keys+=($'\x01state '"$number"$'\x13') ;;
    esac
  done
  case $1 in
    nano) set -- $'\x18' nano --ignorercfiles "$2" ;;
    mg) set -- $'\x18\x03' mg -n "$2" ;;
    joe) set -- $'\x0bx' joe "$2" ;;
    micro) set -- $'\x11' micro "$2" ;;
  esac
  "$PY" "$TAIN_E2E_STAGE/e2e/typing.py" --quiet 1.2 "${keys[@]}" "$1" -- "${@:2}"
}
sessions=()
for how in nano mg joe micro; do
  command -v $how >/dev/null || continue
  printf 'state 0\n' >"$MNT/by-$how.md"
  (sleep 1.2 && session $how "$MNT/by-$how.md" >"$WORK/session-$how" 2>&1) &
  sessions+=($!)
done
for how in $hows; do printf 'state 0\n' >"$MNT/by-$how.md"; done
for number in $(seq 1 $saves); do
  sleep 1.1 # who saves in place overwrites a state, which is kept when it has stood for a second
  for how in $hows; do save "$how" "$MNT/by-$how.md" "$number"; done
done
for pid in "${sessions[@]}"; do wait "$pid" || fail "an editor on a terminal: $(tail -n 3 "$WORK"/session-*)"; done
for how in nano mg joe micro; do
  if [ -e "$MNT/by-$how.md" ]; then hows="$how $hows"; fi
done
for round in mounted remounted; do
  for how in $hows; do
    file=$MNT/by-$how.md
    same "$(cat "$file")" "state $saves" "$how: the present"
    "$TAIN" log --json "$file" >"$WORK/log.json"
    same "$("$PY" -c 'import json; print(len(json.load(open("log.json"))["versions"]))')" $((saves + 1)) "$how: versions $round"
    expected=$(for number in $(seq 0 $saves); do echo "state $number"; done)
    same "$(cat "$past/history/by-$how.md"/*)" "$expected" "$how: .tain/history $round"
    same "$("$TAIN" cat "$file@7")" "state 6" "$how: cat"
  done
  if [ "$round" = mounted ]; then remount; fi
done
for how in $hows; do
  expect_exit 0 "$TAIN" restore "$MNT/by-$how.md@1"
  printf 'state 0\n' | cmp - "$MNT/by-$how.md" || fail "$how: the first version is not restored byte for byte"
done
ok "$saves saves are $saves versions of one entry: $hows"
# Faster than a second: who makes a new file each time still has them all.
for how in sed mv again; do printf 'state 0\n' >"$MNT/quick-$how.md"; done
sleep 1.2
for how in sed mv again; do
  for number in $(seq 1 $saves); do save "$how" "$MNT/quick-$how.md" "$number"; done
  same "$(versions_of "$MNT/quick-$how.md")" $((saves + 1)) "$how, quickly"
done
ok "quick saves, too"

# --- the trash

same "$(names "$past/trash")" "link " "what was removed so far"
expect_exit 0 "$TAIN" trash empty "$MNT"
files=1300
if [ -n "$LONG" ]; then files=13000; fi
"$PY" - "$MNT/tree" "$files" <<'END'
import os, sys
root, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    folder = os.path.join(root, "d%d" % (number % 40), "e%d" % (number % 7))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "f%d" % number)
    with open(path, "wb") as f:
        f.write(b"%d\n" % number * (number % 50))
    os.chmod(path, 0o600 + number % 0o100)
    if number % 10 == 0:
        os.setxattr(path, "user.number", b"%d" % number)
    if number % 20 == 1:
        os.symlink("../f%d" % number, path + ".link")
    if number % 20 == 2:
        os.link(path, path + ".hard")
    os.utime(path, ns=(10**18 + number, 10**18 + number * 1000))
for folder, names, _ in os.walk(root, topdown=False):
    os.utime(folder, (1.5e9, 1.5e9))
    os.setxattr(folder, "user.folder", b"x")
END
whole() { picture "$1" && (cd "$1" && find . -type d -printf '%p %T@\n' | sort && find . -links +1 -type f -printf '%p %n\n' | sort); }
whole "$MNT/tree" >"$WORK/tree.picture"
sleep 1.2
rm -rf "$MNT/tree"
[ ! -e "$MNT/tree" ] || fail "rm -rf"
same "$(names "$past/trash")" "tree " "what is in the trash"
same "$(find "$past/trash/tree" -type f | wc -l)" "$(grep -c '^d[^ ]* f ' "$WORK/tree.picture")" "files in .tain/trash"
expect_exit 0 "$TAIN" trash list "$MNT"
output_has 'tree/  \([0-9]+ entries\)'
expect_exit 0 "$TAIN" trash restore "$MNT/tree"
whole "$MNT/tree" | diff - "$WORK/tree.picture" || fail "what came back is another tree"
ok "rm -rf of $files files, and all of it back"
remount
whole "$MNT/tree" | diff - "$WORK/tree.picture" || fail "after remounting it is another tree"
[ -z "$(names "$past/trash")" ] || fail "restored, and still in the trash"

printf 'mine' >"$MNT/note.txt"
sleep 1.2
rm "$MNT/note.txt"
[ ! -e "$MNT/note.txt" ]
sleep 0.2
mkdir "$MNT/note.txt"
expect_exit 0 "$TAIN" restore --to "$MNT/note.txt" "$MNT/tree/d1/e1/f1@1"
output_has 'note \(restored\).txt'
expect_exit 0 "$TAIN" trash restore "$MNT/note.txt"
output_has 'note \(restored 2\).txt'
same "$(cat "$MNT/note (restored 2).txt")" mine
rm -r "$MNT/tree"
expect_exit 0 "$TAIN" trash empty "$MNT"
[ -z "$(names "$past/trash")" ] || fail "emptied, and something is left"

# --- what is kept

expect_exit 0 "$TAIN" retention "$MNT"
output_has 'preset +default'
expect_exit 0 "$TAIN" prune --dry-run "$MNT"
output_has 'would drop 0 versions and 0 entries of the trash'
expect_exit 0 "$TAIN" retention "$MNT" week
remount
expect_exit 0 "$TAIN" retention "$MNT"
output_has 'preset +week'
rm "$MNT/by-mv.md"
sleep 1.2
expect_exit 0 "$TAIN" retention --dry-run "$MNT" --all 0 --trash 0
output_has 'due +[1-9][0-9]+ versions and 1 entry of the trash'
expect_exit 0 "$TAIN" prune "$MNT"
output_has 'dropped 0 versions and 0 entries of the trash'
expect_exit 0 "$TAIN" retention "$MNT" --all 0 --trash 0
expect_exit 0 "$TAIN" prune --dry-run "$MNT"
output_has 'version +by-sed.md'
output_has 'trash +by-mv.md'
same "$(versions_of "$MNT/by-sed.md")" $((saves + 2)) "a dry run"
expect_exit 0 "$TAIN" prune "$MNT"
output_has 'dropped [1-9][0-9]+ versions and 1 entry of the trash'
same "$(versions_of "$MNT/by-sed.md")" 1 "what is left of the past"
same "$(cat "$MNT/by-sed.md")" "state 0"
[ -z "$(names "$past/trash")" ] || fail "pruned, and something is in the trash"
expect_exit 0 "$TAIN" prune --dry-run "$MNT"
output_has 'would drop 0 versions and 0 entries of the trash'
ok "the vault's own retention, and pruning by it"
unmount_vault
expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
ok "the vault is sound"
