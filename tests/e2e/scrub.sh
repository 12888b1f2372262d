#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tain scrub: mounted, unmounted and by itself; what it finds is named, and a pass goes on where it was stopped.
# shellcheck disable=SC2034
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# Waits until the status of the mount has /REGEX/. Asking is a use of the mount, and the mount scrubs while it is not used.
await_status() {
  local i
  for i in $(seq 60); do
    sleep 2
    expect_exit 0 "$TAIN" status --json "$MNT"
    if grep -Eq -- "$1" "$OUTPUT"; then return; fi
  done
  fail "status never said /$1/: $(cat "$OUTPUT")"
}
# Flips a bit of the database at offset $1.
harm() {
  "$PY" - "$VAULT/data.mdb" "$1" <<'PY'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(int(sys.argv[2]))
    byte = file.read(1)
    file.seek(-1, 1)
    file.write(bytes([byte[0] ^ 1]))
PY
}
attribute() { "$PY" -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.tain.damaged").decode())' "$1"; }

new_vault
mount_vault --scrub-rate off
mkdir "$MNT/folder"
for i in $(seq 100); do echo "entry $i" >"$MNT/folder/entry $i"; done
head -c 50331648 /dev/urandom >"$MNT/large"   # nearly all of the database
sync "$MNT/large"

expect_exit 0 "$TAIN" status "$MNT"
output_has 'scrubbed +never'
expect_exit 0 "$TAIN" scrub "$MNT"
output_has 'scrubbed 103 entries, 4[89]\.[0-9] MiB as stored: all is well'
expect_exit 0 "$TAIN" scrub --json "$VAULT"
same "$(member entries)" 103 "entries"
same "$(member damaged)" 0 "damaged entries"
expect_exit 0 "$TAIN" status "$MNT"
output_has "scrubbed +$(date +%Y)-.*, all intact"
ok "a sound mount, by its mountpoint and by its vault"

size=$(stat -c %s "$VAULT/data.mdb")
# Some of the file is free: a bit that nobody needs is nobody's damage.
for part in 2 3 4 5 6 7; do
  harm $((size / part))
  status=0
  "$TAIN" scrub "$MNT" >"$OUTPUT" 2>&1 || status=$?
  [ $status = 0 ] || break
  harm $((size / part))
done
same "$status" 26 "exit status of scrub"
output_has '^/large: rot [0-9]+-[0-9]+$'
output_has '1 entry is damaged'
output_has 'tain salvage'
text=$(sed -n 's|^/large: ||p' "$OUTPUT")
same "$(attribute "$MNT/large")" "$text" "the attribute of a file that nobody has read"
expect_exit 0 "$TAIN" status "$MNT"
output_has 'damaged +1 entry, /large \(rot'
output_has 'scrubbed +.*, 1 entry damaged'
ok "a bit that flips under a mount is found before anybody reads it"

unmount_vault
[ "$(stat -c %a "$VAULT/scrub")" = 600 ] || fail "the file scrub is open to others"
expect_exit 0 "$TAIN" status "$VAULT"
output_has 'scrubbed +.*, 1 entry damaged'
expect_exit 26 "$TAIN" scrub --json --passfile "$PASSFILE" "$VAULT"
same "$(member damaged)" 1 "damaged entries"
same "$(member damaged_entries 0 path)" /large "the damaged entry"
same "$(member damaged_entries 0 damage)" "$text" "its damage"
ok "an unmounted vault says the same"

# By itself: the pass is not due, so without the record; and the damage is flagged without anybody's command.
rm "$VAULT/scrub"
mount_vault --scrub-after 1s --scrub-rate 1G
await_status '"damaged": ?1\b.*"last"'
same "$(attribute "$MNT/large")" "$text" "the attribute after a pass that nobody asked for"
unmount_vault
[ -s "$VAULT/scrub" ] || fail "the pass left no record"
mount_vault --scrub-after 1s
await_status '"damaged_entries":'
expect_exit 0 "$TAIN" status "$MNT"
if grep -q 'running' "$OUTPUT"; then fail "a pass that is not due runs: $(cat "$OUTPUT")"; fi
same "$(attribute "$MNT/large")" "$text" "the attribute after the next mount"
ok "a mount scrubs by itself, and remembers what it found"

# A pass that is stopped by an unmount goes on with the next mount.
unmount_vault
rm "$VAULT/scrub"
mount_vault --scrub-after 1s --scrub-rate 2M   # 24 seconds for all of it
await_status '"part": ?0\.[0-9]*[1-9]'
unmount_vault
expect_exit 0 "$TAIN" status "$VAULT"
output_has 'a pass is interrupted'
expect_exit 0 "$TAIN" status --json "$VAULT"
started=$(member scrub started_at) bytes=$(member scrub bytes)
[ "$bytes" -gt 0 ] || fail "no position was kept"
mount_vault --ro --scrub-rate off
expect_exit 26 "$TAIN" scrub --json "$MNT"
same "$(member started_at)" "$started" "the start of the pass"
same "$(member entries)" 103 "entries of the whole pass"
unmount_vault
expect_exit 0 "$TAIN" status --json "$VAULT"
same "$(member scrub bytes)" "$bytes" "the position after a read-only mount"
ok "a pass goes on after a remount, and a read-only mount writes nothing"

# Ctrl-C: the command ends, the position stays.
rm "$VAULT/scrub"
cat >"$WORK/interrupt.py" <<'PY'
# Runs a command and interrupts it after longer and longer times, and from the shortest again, until it says that it was
# interrupted in its work: how long it takes to begin and to end differs from run to run on a busy machine.
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
for attempt in range(400):
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    time.sleep((attempt % 50 + 1) * 0.02)
    child.send_signal(signal.SIGINT)
    if child.wait() == 130:
        sys.exit(0)
sys.exit(1)
PY
mount_vault --scrub-rate off
head -c 268435456 /dev/zero | tr '\0' z >"$MNT/big"
sync "$MNT/big"
expect_exit 0 "$PY" "$WORK/interrupt.py" "$TAIN" scrub "$MNT"
output_has 'interrupted; the position is kept'
expect_exit 0 "$TAIN" status --json "$MNT"
same "$(member scrub hurried)" False "full speed after the interruption"
unmount_vault
expect_exit 0 "$TAIN" status --json "$VAULT"
same "$(member scrub running)" True "whether a pass is under way"
expect_exit 0 "$PY" "$WORK/interrupt.py" "$TAIN" scrub --passfile "$PASSFILE" "$VAULT"
output_has 'interrupted; the position is kept'
output_has 'tain scrub goes on from there'
expect_exit 26 "$TAIN" scrub --passfile "$PASSFILE" "$VAULT"
output_has 'scrubbed 104 entries'
mount_vault --scrub-after 1w
expect_exit 0 "$PY" "$WORK/interrupt.py" "$TAIN" scrub "$MNT"
output_has 'the mount goes on with it slowly'
ok "Ctrl-C keeps the position"
