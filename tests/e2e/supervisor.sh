#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The process that serves a mount dies: the mount is taken away, the bare folder is closed, nothing secret stays behind.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

parent() { sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status"; }
free_lock() { flock -n "$VAULT/lock" true; }
word() { printf 'C%s' "$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')"; }

new_vault

# --- a death, in several ways -----------------------------------------------------------------------------------
for signal in KILL SEGV BUS ABRT; do
  mount_vault
  pid=$(holder)
  supervisor=$(parent "$pid")
  same "$(cat "/proc/$supervisor/comm")" tain-supervisor "who made the serving process"
  echo "$signal" >"$MNT/synced"
  sync "$MNT/synced"
  kill -"$signal" "$pid"
  wait_for not_mounted || fail "$MNT is still mounted after SIG$signal"
  wait_for gone "$supervisor" || fail "supervisor $supervisor lives after SIG$signal"
  if (echo clear >"$MNT/leak") 2>/dev/null; then fail "the bare mountpoint accepts clear text after SIG$signal"; fi
  mount_vault
  same "$(cat "$MNT/synced")" "$signal" "after SIG$signal"
  unmount_vault
done
ok "a dead mount is detached, its folder closed, its data there again"

# --- remount at once, side by side with the cleaning up -----------------------------------------------------------
for _ in $(seq 10); do
  mount_vault
  kill -9 "$(holder)"
  # The lock may need a moment to fall with the process; everything else must work at once.
  wait_for free_lock || fail "the lock outlives its process"
  mount_vault
  same "$(cat "$MNT/synced")" ABRT "after a mount beside the supervisor's work"
  unmount_vault
done
ok "mounting again while the supervisor cleans up"

# --- signals to the supervisor are signals to the mount -------------------------------------------------------------
mount_vault
pid=$(holder)
supervisor=$(parent "$pid")
echo unsynced >"$MNT/unsynced"
kill -TERM "$supervisor"
wait_for gone "$pid" || fail "SIGTERM to the supervisor does not end the mount"
wait_for gone "$supervisor" || fail "the supervisor outlives the mount"
mount_vault
same "$(cat "$MNT/unsynced")" unsynced "an orderly end loses nothing"

# --- the supervisor's own death changes nothing, and unmount waits for both ------------------------------------------
kill -9 "$(parent "$(holder)")"
sleep 0.2
same "$(cat "$MNT/unsynced")" unsynced "without a supervisor"
unmount_vault
mount_vault
pid=$(holder)
kill -9 "$(parent "$pid")"
sleep 0.2
exec 7<"$MNT/unsynced"
"$TAIN" unmount --force "$MNT" >/dev/null || fail "unmount --force without a supervisor ended with $?"
exec 7<&-
not_mounted || fail "unmount --force without a supervisor leaves a dead mount"
gone "$pid" || fail "unmount --force without a supervisor leaves the keys"
mount_vault
supervisor=$(parent "$(holder)")
unmount_vault
if ! gone "$supervisor"; then fail "unmount returned, but supervisor $supervisor lives"; fi
ok "signals, the supervisor's death, an orderly unmount"

# --- a supervisor that is stopped does not keep the keys in memory ----------------------------------------------------
mount_vault
pid=$(holder)
supervisor=$(parent "$pid")
echo before >"$MNT/before-the-stop"
sync "$MNT/before-the-stop"
kill -STOP "$supervisor"
kill -TERM "$pid"
wait_for gone "$pid" || fail "the serving process waits for a supervisor that is stopped"
kill -CONT "$supervisor"
wait_for gone "$supervisor" || fail "supervisor $supervisor lives"
wait_for not_mounted || fail "a dead mount is left"
mount_vault
same "$(cat "$MNT/before-the-stop")" before "what was there before the supervisor was stopped"
supervisor=$(parent "$(holder)")
pid=$(holder)
kill -STOP "$supervisor"
"$TAIN" unmount "$MNT" >"$WORK/unmount.log" 2>&1 &
unmount=$!
wait_for gone "$pid" || fail "unmount waits for a supervisor that is stopped, and its keys too"
kill -CONT "$supervisor"
wait "$unmount" || fail "unmount ended with $?: $(cat "$WORK/unmount.log")"
not_mounted || fail "still mounted"
ok "a supervisor that is stopped"

# --- no secret in the supervisor ------------------------------------------------------------------------------------
if [ "$(id -u)" = 0 ]; then
  mount_vault
  pid=$(holder)
  supervisor=$(parent "$pid")
  content=$(word)
  name=$(word)
  # All the time, so that the serving process has them in its hands whenever the search comes to it.
  while [ ! -e "$WORK/enough" ]; do
    echo "$content" >"$MNT/$name"
    ls "$MNT" >/dev/null
  done &
  user=$!
  wait_for test -s "$MNT/$name" || fail "nobody uses the mount"
  search() { printf '%s\n' "password=$(cat "$PASSFILE")" "content=$content" "name=$name" | "$PY" "$TAIN_E2E_STAGE/e2e/search_memory.py" "$1"; }
  found=$(search "$pid")
  # The positive control.
  [[ $found == *content* && $found == *name* ]] || fail "the search finds nothing where there is something: '$found'"
  if [[ $found == *password* ]]; then fail "the serving process keeps the password"; fi
  same "$(search "$supervisor")" "" "secrets in the supervisor's memory"
  touch "$WORK/enough"
  wait "$user"
  unmount_vault
  ok "no password, name or content in the supervisor's memory"
fi
