#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The life of a vault and of a mount from the command line: passwords, damage, exit codes, busy and dead mounts.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

json() { "$PY" -c "import json, sys; v = json.load(sys.stdin); print(eval(sys.argv[1]))" "$1" <"$OUTPUT"; }
# What tain prints on stdout alone, as JSON.
expect_json() {
  "$TAIN" "$@" --json >"$OUTPUT" </dev/null || fail "'tain $* --json' exited $?"
  "$PY" -m json.tool <"$OUTPUT" >/dev/null || fail "'tain $* --json' is not JSON"
}
# How often `list --json` names our vault; other ones may be mounted too.
listed() { json "sum(m['vault'] == '$VAULT' for m in v)"; }
# Flips bits of the byte at offset $2 of file $1.
flip() { "$PY" -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1); f.seek(-1, 1); f.write(bytes([b[0] ^ 255]))' "$1" "$2"; }

# --- making a vault ---
new_vault
same "$(stat -c %a "$VAULT")" 700 "mode of the vault"
same "$(find "$VAULT" -type f -perm /077)" "" "files open to others"
expect_exit 1 "$TAIN" init --kdf-time 0 --passfile "$PASSFILE" "$VAULT"
output_has "tain: .+"
mkdir "$WORK/foreign"
touch "$WORK/foreign/thing"
expect_exit 1 "$TAIN" init --kdf-time 0 --passfile "$PASSFILE" "$WORK/foreign"
same "$(ls -A "$WORK/foreign")" thing "a foreign directory after a refused init"
: >"$WORK/empty"
expect_exit 22 "$TAIN" init --kdf-time 0 --passfile "$WORK/empty" "$WORK/vault2"
[ ! -e "$WORK/vault2" ] || [ -z "$(ls -A "$WORK/vault2")" ] || fail "a refused init left a vault"
ok "init refuses what is there already, and empty passwords (22)"

# --- passwords ---
echo "wrong" >"$WORK/wrong"
expect_exit 12 "$TAIN" mount --passfile "$WORK/wrong" "$VAULT" "$MNT"
output_has "tain: .*password"
expect_exit 22 "$TAIN" mount --passfile "$WORK/empty" "$VAULT" "$MNT"
expect_exit 6 "$TAIN" mount --passfile "$PASSFILE" "$WORK/foreign" "$MNT"
output_has "tain: .*vault"
if mounted "$MNT"; then fail "mounted in spite of an error"; fi
ok "wrong password 12, empty password 22, not a vault 6"

try_mount() {
  mounted "$MNT" || fail "not mounted with $1"
  unmount_vault
  ok "password from $1"
}
expect_exit 0 env TAIN_PASSFILE="$PASSFILE" "$TAIN" mount "$VAULT" "$MNT"
try_mount TAIN_PASSFILE
expect_exit 0 env TAIN_PASSCMD="cat '$PASSFILE'" "$TAIN" mount "$VAULT" "$MNT"
try_mount TAIN_PASSCMD
expect_exit 0 "$TAIN" mount --passcmd "cat $PASSFILE" "$VAULT" "$MNT"
try_mount --passcmd
"$TAIN" mount --pass-fd 7 "$VAULT" "$MNT" 7<"$PASSFILE" >"$OUTPUT" 2>&1 </dev/null
try_mount --pass-fd
"$TAIN" mount "$VAULT" "$MNT" <"$PASSFILE" >"$OUTPUT" 2>&1
try_mount "stdin"
mkdir "$WORK/credentials"
cp "$PASSFILE" "$WORK/credentials/tain.password"
expect_exit 0 env CREDENTIALS_DIRECTORY="$WORK/credentials" "$TAIN" mount "$VAULT" "$MNT" </dev/null
try_mount "a systemd credential"
"$PY" "$TAIN_E2E_STAGE/e2e/typing.py" "$(cat "$PASSFILE")"$'\r' -- "$TAIN" mount "$VAULT" "$MNT"
try_mount "the terminal"
expect_exit 2 "$TAIN" mount --passfile "$PASSFILE" --passcmd "cat $PASSFILE" "$VAULT" "$MNT"
ok "two sources at once: usage (2)"

mount_vault
secret=$(cut -d' ' -f3 "$PASSFILE")
if grep -qa "$secret" "/proc/$(holder)/cmdline" "/proc/$(holder)/environ" 2>/dev/null; then
  fail "the password is in the daemon's arguments or environment"
fi
unmount_vault

echo "a new password" >"$WORK/new"
expect_exit 12 "$TAIN" passwd --kdf-time 0 --passfile "$WORK/wrong" --new-passfile "$WORK/new" "$VAULT"
expect_exit 22 "$TAIN" passwd --kdf-time 0 --passfile "$PASSFILE" --new-passfile "$WORK/empty" "$VAULT"
mount_vault
echo "still here" >"$MNT/note"
expect_exit 0 "$TAIN" passwd --kdf-time 0 --passfile "$PASSFILE" --new-passfile "$WORK/new" "$VAULT"
same "$(cat "$MNT/note")" "still here" "a note after passwd while mounted"
unmount_vault
expect_exit 12 "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$MNT"
cp "$WORK/new" "$PASSFILE"
mount_vault
same "$(cat "$MNT/note")" "still here" "a note under the new password"
unmount_vault
ok "passwd, while mounted too; the old password opens nothing"

# --- a damaged header ---
cp "$VAULT/header" "$WORK/header.good"
for damage in "truncate -s 50" "truncate -s 0" "flip 20" "flip 60" "flip 200" "rm"; do
  read -r how where <<<"$damage"
  for file in header header.bak; do
    case $how in
      truncate) truncate -s "${where#-s }" "$VAULT/$file" ;;
      flip) flip "$VAULT/$file" "$where" ;;
      rm) rm "$VAULT/$file" ;;
    esac
    mount_vault
    same "$(cat "$MNT/note")" "still here" "a note after '$damage' of $file"
    unmount_vault
  done
  cp "$WORK/header.good" "$VAULT/header"
  cp "$WORK/header.good" "$VAULT/header.bak"
done
ok "one damaged header copy: the other one serves"
for damage in "truncate 50" "flip 60" "flip 200"; do
  read -r how where <<<"$damage"
  for file in header header.bak; do
    if [ "$how" = flip ]; then flip "$VAULT/$file" "$where"; else truncate -s "$where" "$VAULT/$file"; fi
  done
  expect_exit 13 "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$MNT"
  output_has "tain: .*header"
  cp "$WORK/header.good" "$VAULT/header"
  cp "$WORK/header.good" "$VAULT/header.bak"
done
ok "both copies damaged: 13"

# --- one mount at a time; where to mount ---
mount_vault
mkdir "$WORK/second"
expect_exit 11 "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$WORK/second"
output_has "$(holder)"
if mounted "$WORK/second"; then fail "mounted twice"; fi
ok "second mount: 11, naming the pid"
unmount_vault
expect_exit 10 "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$WORK/foreign"
same "$(ls -A "$WORK/foreign")" thing "a foreign directory after a refused mount"
expect_exit 10 "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$VAULT"
expect_exit 10 "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$WORK/no/such/parent"
ok "mountpoints that cannot be used: 10"

# --- locked means locked ---
mount_vault
echo "inside" >"$MNT/inside"
pid=$(holder)
unmount_vault
gone "$pid" || fail "the process lives after unmount"
if (echo "plaintext" >"$MNT/leak") 2>/dev/null; then fail "a write to the bare mountpoint succeeded"; fi
[ -z "$(ls -A "$MNT" 2>/dev/null)" ] || fail "something is in the bare mountpoint"
mount_vault
same "$(cat "$MNT/inside")" inside "after mounting over the closed mountpoint"
ok "after unmount the process is gone and a write to the bare mountpoint fails"

exec 5<"$MNT/inside"
expect_exit 1 "$TAIN" unmount "$MNT"
output_has "\b$$\b"
mounted "$MNT" || fail "a refused unmount unmounted"
exec 5<&-
(cd "$MNT" && exec sleep 100) &
sleeper=$!
sleeps_inside() { [ "$(cat "/proc/$sleeper/comm")" = sleep ]; }
wait_for sleeps_inside || fail "no program in the mount"
expect_exit 1 "$TAIN" unmount "$MNT"
output_has "\b$sleeper\b.*sleep|sleep.*\b$sleeper\b"
kill $sleeper
wait $sleeper 2>/dev/null || true
same "$(cat "$MNT/inside")" inside "after refused unmounts"
unmount_vault
ok "unmount of a busy mount names the holders"

# --- dead mounts: without the supervisor, which would detach them ---
kill_both() { kill -9 "$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status")" "$1"; }
mount_vault
echo "synced" >"$MNT/synced"
sync "$MNT/synced"
pid=$(holder)
kill_both "$pid"
wait_for gone "$pid" || fail "process $pid lives after kill -9"
mount_vault
same "$(cat "$MNT/synced")" synced "after kill -9"
ok "mount cleans up after a killed daemon"
pid=$(holder)
kill_both "$pid"
wait_for gone "$pid" || fail "process $pid lives after kill -9"
expect_exit 0 "$TAIN" unmount "$MNT"
if mounted "$MNT"; then fail "a dead mount is still there"; fi
ok "unmount of a dead mount"
mount_vault
pid=$(holder)
kill -TERM "$pid"
wait_for not_mounted || fail "SIGTERM did not unmount"
wait_for gone "$pid" || fail "the process lives after SIGTERM"
ok "SIGTERM unmounts"
"$TAIN" mount -f --passfile "$PASSFILE" "$VAULT" "$MNT" >"$OUTPUT" 2>&1 </dev/null &
foreground=$!
wait_for mounted "$MNT" || fail "mount -f does not mount"
same "$(cat "$MNT/synced")" synced "a foreground mount"
unmount_vault
wait $foreground || fail "mount -f ended with $?"
ok "mount -f stays until the unmount"

# A login without $XDG_RUNTIME_DIR, and another one with it.
expect_exit 0 env -u XDG_RUNTIME_DIR "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$MNT"
same "$(cat "$MNT/synced")" synced "a mount without XDG_RUNTIME_DIR"
expect_json status "$MNT"
same "$(json "v['pid']")" "$(holder)" "status finds the process"
unmount_vault
ok "logins with and without XDG_RUNTIME_DIR find each other's mounts"

# --- closed descriptors, copies, lazy unmounts, moved vaults: one vault, one process, and the right one ---
timeout 60 "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$MNT" <&- >&- 2>&- || fail "mount with 0 to 2 closed: $?"
mounted "$MNT" || fail "mount with 0 to 2 closed did not mount"
expect_exit 11 "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$WORK/second"
unmount_vault
ok "a mount with descriptors 0 to 2 closed holds the lock"

mount_vault
cp -r "$VAULT" "$WORK/copy"
expect_exit 0 "$TAIN" mount --passfile "$PASSFILE" "$WORK/copy" "$WORK/second"
original=$(holder)
expect_json status "$MNT"
same "$(json "v['pid']")" "$original" "status of the original beside its copy"
expect_exit 0 timeout 60 env XDG_RUNTIME_DIR=/nonexistent "$TAIN" unmount "$MNT"
gone "$original" || fail "the original's process lives after its unmount"
mounted "$WORK/second" || fail "unmounting the original took the copy along"
expect_exit 0 timeout 60 "$TAIN" unmount "$WORK/second"
ok "a vault and its copy beside each other; unmount from another login"

mount_vault
echo "kept" >"$MNT/kept"
pid=$(holder)
exec 5<"$MNT/kept"
if [ "$(id -u)" = 0 ]; then umount -l "$MNT"; else fusermount3 -uz "$MNT"; fi
expect_exit 11 "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$MNT"
output_has "no longer|not mounted any more"
output_has "tain unmount $VAULT"
expect_exit 0 timeout 60 "$TAIN" unmount "$VAULT"
gone "$pid" || fail "the process lives after tain unmount of a lazily unmounted vault"
exec 5<&-
mount_vault
same "$(cat "$MNT/kept")" kept "after a lazy unmount"
ok "a lazily unmounted vault can be locked"

pid=$(holder)
mv "$VAULT" "$WORK/moved"
df "$MNT" >/dev/null || fail "df of a mount whose vault was moved"
expect_exit 0 timeout 60 "$TAIN" unmount "$MNT"
gone "$pid" || fail "unmount did not wait for the process of a moved vault"
mv "$WORK/moved" "$VAULT"

mount_vault
pid=$(holder)
rm "$XDG_RUNTIME_DIR"/tain/*.sock
expect_exit 1 timeout 60 "$TAIN" unmount "$MNT"
output_has "without confirming"
gone "$pid" || fail "unmount without a socket did not wait"
ok "unmount of a moved vault waits; one that cannot be confirmed says so"
expect_exit 10 "$TAIN" unmount "$WORK/nosuch"
output_has "does not exist"
mkdir "$WORK/plain"
expect_exit 10 "$TAIN" unmount --release "$WORK/plain"
expect_exit 2 "$TAIN" init --passfile "$PASSFILE" ''
ok "unmount and init refuse what makes no sense"

# --- read-only ---
mount_vault --ro
same "$(cat "$MNT/synced")" synced "read-only"
if (echo x >"$MNT/synced") 2>/dev/null; then fail "a read-only mount was written"; fi
unmount_vault
ok "mount --ro"

# --- looking ---
mount_vault
mkdir "$MNT/folder"
printf 'line one\nline two\n' >"$MNT/folder/file.md"
for state in mounted locked; do
  for vault in "$VAULT" "$MNT"; do
    [ "$state-$vault" = "locked-$MNT" ] && continue
    password=(--passfile "$PASSFILE")
    expect_exit 0 "$TAIN" status "$vault"
    output_has "$state|not mounted"
    expect_json status "$vault"
    same "$(json "v['mounted']")" "$([ $state = mounted ] && echo True || echo False)" \
      "status --json says mounted"
    "$TAIN" ls "${password[@]}" "$vault" >"$OUTPUT" </dev/null
    grep -qx "folder/\?" "$OUTPUT" || fail "ls of $vault: $(cat "$OUTPUT")"
    "$TAIN" ls "${password[@]}" "$vault" folder >"$OUTPUT" </dev/null
    grep -q "file.md" "$OUTPUT" || fail "ls of a folder"
    expect_json ls "${password[@]}" "$vault" folder
    same "$("$TAIN" cat "${password[@]}" "$vault" folder/file.md </dev/null)" $'line one\nline two' "cat ($state)"
    expect_exit 1 "$TAIN" cat "${password[@]}" "$vault" no/such/file
    output_has "tain: "
  done
  [ $state = locked ] || { expect_json list; same "$(listed)" 1 "list"; }
  [ $state = locked ] || unmount_vault
done
expect_json list
same "$(listed)" 0 "list without a mount"
ok "status, list, ls, cat: mounted and locked, --json"
expect_exit 0 "$TAIN" version
output_has "[0-9]+\.[0-9]+\.[0-9]+"
expect_exit 0 "$TAIN" --version
expect_json version
"$TAIN" doctor >"$OUTPUT" 2>&1 </dev/null || [ $? = 1 ] || fail "doctor exited oddly"
"$TAIN" doctor --json </dev/null 2>/dev/null >"$OUTPUT" || true
"$PY" -m json.tool <"$OUTPUT" >/dev/null || fail "doctor --json is not JSON"
for command in init mount unmount umount lock status list passwd ls cat doctor version; do
  expect_exit 0 "$TAIN" $command --help
  output_has "tain "
done
expect_exit 0 "$TAIN" --help
expect_exit 2 "$TAIN" no-such-command
output_has "tain: "
expect_exit 2 "$TAIN" mount --no-such-option "$VAULT" "$MNT"
expect_exit 2 "$TAIN" mount
ok "version, doctor, --help for each, usage 2"

# --- suites ---
expect_exit 0 "$TAIN" init --kdf-time 0 --cipher xchacha20-poly1305 --passfile "$PASSFILE" "$WORK/xvault"
output_has "xchacha20-poly1305"
expect_exit 0 env TAIN_TEST_NO_AES=1 "$TAIN" mount --passfile "$PASSFILE" "$WORK/xvault" "$MNT"
echo "x" >"$MNT/x"
expect_exit 0 "$TAIN" unmount "$MNT"
expect_exit 0 "$TAIN" mount --passfile "$PASSFILE" "$WORK/xvault" "$MNT"
same "$(cat "$MNT/x")" x "an XChaCha vault"
expect_exit 0 "$TAIN" unmount "$MNT"
expect_exit 0 env TAIN_TEST_NO_AES=1 "$TAIN" init --kdf-time 0 --passfile "$PASSFILE" "$WORK/masked"
output_has "xchacha20-poly1305"
if grep -qw aes /proc/cpuinfo; then
  expect_exit 0 "$TAIN" init --kdf-time 0 --passfile "$PASSFILE" "$WORK/avault"
  output_has "aes-256-gcm"
  expect_exit 0 "$TAIN" mount --passfile "$PASSFILE" "$WORK/avault" "$MNT"
  echo "sealed with AES" >"$MNT/a"
  expect_exit 0 "$TAIN" unmount "$MNT"
  status=0
  TAIN_TEST_NO_AES=1 "$TAIN" mount --passfile "$PASSFILE" "$WORK/avault" "$MNT" >"$OUTPUT" 2>&1 </dev/null || status=$?
  output_has "aes"
  if [ $status = 0 ]; then
    if cat "$MNT/a" >/dev/null 2>&1; then fail "AES content read on a CPU without AES"; fi
    expect_exit 0 "$TAIN" unmount "$MNT"
  fi
  status=0
  TAIN_TEST_NO_AES=1 "$TAIN" init --kdf-time 0 --cipher aes-256-gcm --passfile "$PASSFILE" "$WORK/no" >"$OUTPUT" 2>&1 \
    </dev/null || status=$?
  [ $status != 0 ] || fail "init --cipher aes-256-gcm on a CPU without AES"
  output_has "aes"
fi
ok "suites: the default, --cipher, a CPU without AES"
