#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A vault locks itself when nobody uses it, and only then; unmount --force cuts programs off and says which.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# The file is read again and again for well over the idle limit, and the mount stays. False when this machine stood still
# for as long as the limit, so that it was right to go.
reading_keeps_it() {
  local asked
  for _ in $(seq 25); do
    sleep 0.2
    asked=$(date +%s%3N)
    if cat "$MNT/file" >/dev/null 2>&1 && mounted "$MNT"; then
      last=$asked
    elif [ $(($(date +%s%3N) - last)) -lt 3000 ]; then
      fail "locked while in use"
    else
      return 1
    fi
  done
}
# Still mounted after well over the idle limit of three seconds, while the command given is run again and again.
stays() {
  for _ in $(seq 25); do
    sleep 0.2
    "$@"
    mounted "$MNT" || fail "locked while in use: $*"
  done
}

new_vault
expect_exit 2 "$TAIN" mount --idle soon --passfile "$PASSFILE" "$VAULT" "$MNT"
output_has "duration"
mount_vault --idle 3s
pid=$(holder)

# --- in use -------------------------------------------------------------------------------------------------------
echo text >"$MNT/file"
last=$(date +%s%3N)
until reading_keeps_it; do  # from the kernel's cache
  wait_for gone "$pid" || fail "not locked although idle"
  last=$(date +%s%3N)
  mount_vault --idle 3s
  pid=$(holder)
done
ok "somebody who reads keeps it open"
exec 5<"$MNT/file"
stays true
ok "an open file keeps it open"
# Each hold is let go of when the next one is there: this machine may be slow.
mkdir "$MNT/folder"
(cd "$MNT/folder" && touch "$WORK/inside" && exec sleep 60) &
sleeper=$!
wait_for test -e "$WORK/inside"
exec 5<&-
stays true
exec 5<"$MNT/file"
kill "$sleeper"
wait "$sleeper" 2>/dev/null || true
ok "so does a working directory"
"$PY" - "$MNT/file" "$WORK/mapped" <<'END' &
import mmap, sys, time
with open(sys.argv[1], "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
open(sys.argv[2], "w").close()
time.sleep(60)
END
sleeper=$!
wait_for test -e "$WORK/mapped"
exec 5<&-
stays true
kill "$sleeper"
wait "$sleeper" 2>/dev/null || true
ok "so does a mapping of a closed file"

# --- idle ---------------------------------------------------------------------------------------------------------
echo "just before" >"$MNT/unsynced"
# Who watches is no user: a status bar must not keep the vault open.
watched_and_gone() {
  "$TAIN" list >/dev/null
  "$TAIN" status "$VAULT" >/dev/null || true
  "$TAIN" status "$MNT" >/dev/null 2>&1 || true
  not_mounted
}
wait_for watched_and_gone || fail "not locked although idle"
wait_for gone "$pid" || fail "process $pid lives"
if (echo clear >"$MNT/leak") 2>/dev/null; then fail "the bare mountpoint accepts clear text"; fi
mount_vault -o idle=1h
same "$(cat "$MNT/unsynced")" "just before" "after locking itself"
expect_exit 0 "$TAIN" status --json "$MNT"
output_has '"idle_timeout_s": ?3600'
ok "an idle vault locks itself and loses nothing"

# --- by force -----------------------------------------------------------------------------------------------------
echo secret >"$MNT/read"
exec 5>"$MNT/held" 6<"$MNT/read"
echo "written before" >&5
expect_exit 1 "$TAIN" unmount "$MNT"
output_has "busy"
pid=$(holder)
expect_exit 0 "$TAIN" unmount --force "$MNT"
output_has "bash \($$\) was using .* cut off"
if mounted "$MNT"; then fail "still mounted after --force"; fi
gone "$pid" || fail "unmount --force returned, but process $pid lives"
if (echo "written after" >&5) 2>/dev/null; then fail "a file that was cut off still takes writes"; fi
if read -r _ <&6 2>/dev/null; then fail "a file that was cut off can still be read"; fi
exec 5>&- 6<&-
mount_vault
same "$(cat "$MNT/held")" "written before" "what was written before --force"
expect_exit 0 "$TAIN" unmount --force "$MNT"
ok "unmount --force names whom it cut off, and keeps what was written"
