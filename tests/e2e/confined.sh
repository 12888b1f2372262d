#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The serving process is confined, says so, and still does all there is to do; the supervisor has no key and mounts.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

parent() { sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status"; }
of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }

new_vault
mount_vault
pid=$(holder)
same "$(of "$pid" NoNewPrivs) $(of "$pid" Seccomp)" "1 2" "no new privileges, and filtered system calls"
for thread in "/proc/$pid/task/"*; do
  same "$(sed -n 's/^Seccomp:[[:space:]]*//p' "$thread/status")" 2 "thread ${thread##*/} of $(cat "$thread/comm")"
done
status=$("$TAIN" status --json "$VAULT")
same "$("$PY" -c 'import json, sys; print(json.load(sys.stdin)["confined"]["system_calls"])' <<<"$status")" True "what status says"
if grep landlock /sys/kernel/security/lsm >/dev/null 2>&1; then
  same "$("$PY" -c 'import json, sys; print(json.load(sys.stdin)["confined"]["files"])' <<<"$status")" True "status on files"
fi
same "$(of "$(parent "$pid")" Seccomp)" 0 "the supervisor, which mounts"
if [ "$(id -u)" = 0 ]; then
  # Everything that is open: the vault, the socket, how much memory it uses. Not the mountpoint.
  for fd in "/proc/$pid/fd/"*; do
    target=$(readlink "$fd") || continue
    case $target in
      "$VAULT"* | /dev/fuse | /dev/null | /dev/log | socket:* | pipe:* | anon_inode:* | "/proc/$pid/"* | *tain*) ;;
      *) fail "the serving process has $target open" ;;
    esac
    if [[ $target == "$MNT"* ]]; then fail "the serving process has the mountpoint open"; fi
  done
fi
ok "every thread is confined, the supervisor is not"

# --- what a mount does in its life ------------------------------------------------------------------------------
mkdir "$MNT/folder"
echo one >"$MNT/folder/a.md"
sync "$MNT/folder/a.md"
sleep 1.2
echo two >"$MNT/folder/a.md"
rm "$MNT/folder/a.md"
ls "$MNT/.tain/at/" >/dev/null
[ -d "$MNT/.tain/trash" ] || fail "no trash"
"$TAIN" compact "$MNT" >/dev/null || fail "compact ended with $?"
"$TAIN" scrub "$MNT" >/dev/null || fail "scrub ended with $?"
unmount_vault
ok "write, history, trash, compact, scrub, unmount"

# --- in the foreground ------------------------------------------------------------------------------------------
"$TAIN" mount -f --passfile "$PASSFILE" "$VAULT" "$MNT" >"$WORK/output" 2>&1 </dev/null &
foreground=$!
wait_for mounted "$MNT" || fail "mount -f does not mount"
pid=$(holder)
same "$(parent "$pid") $(of "$pid" Seccomp)" "$foreground 2" "mount -f supervises a confined process"
kill -9 "$pid"
wait "$foreground" && fail "mount -f says nothing of the death of the serving process"
not_mounted || fail "mount -f leaves a dead mount"
if grep -q "tain mount -f shows" "$WORK/output"; then fail "mount -f hints at itself"; fi
grep -q "killed by signal 9" "$WORK/output" || fail "mount -f does not say why it ends: $(cat "$WORK/output")"
ok "mount -f is confined, and cleans up"

# --- switched off -------------------------------------------------------------------------------------------------
"$TAIN" mount --unconfined --passfile "$PASSFILE" "$VAULT" "$MNT" >/dev/null
same "$(of "$(holder)" Seccomp)" 0 "--unconfined"
unmount_vault
"$TAIN" mount -o unconfined --passfile "$PASSFILE" "$VAULT" "$MNT" >/dev/null
same "$(of "$(holder)" Seccomp)" 0 "-o unconfined"
unmount_vault
ok "it can be switched off"
