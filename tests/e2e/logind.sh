#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A vault locks itself before the machine sleeps and when the session is locked. On a bus of our own, with dbusmock in
# the place of logind.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
need dbus-daemon
"$PY" -c 'import dbus, dbusmock' 2>/dev/null || skip "dbusmock is missing (package python3-dbusmock)"
if "$TAIN" version | grep "logind no" >/dev/null; then skip "built without logind (package libsystemd-dev)"; fi

export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$WORK/bus
logind() { "$PY" "$TAIN_E2E_STAGE/e2e/logind.py" "$@"; }
nobody_keeps_awake() { [ -z "$(logind inhibitors)" ]; }

new_vault
# --- nobody there ---------------------------------------------------------------------------------------------------
expect_exit 1 "$TAIN" mount --lock-on-suspend --passfile "$PASSFILE" "$VAULT" "$MNT"
output_has "system bus"
not_mounted || fail "mounted all the same"
ok "says that it cannot"

cat >"$WORK/bus.conf" <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type><listen>unix:path=$WORK/bus</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/>
  </policy>
</busconfig>
END
dbus-daemon --config-file="$WORK/bus.conf" --nofork --nopidfile &
bus=$!
wait_for test -S "$WORK/bus" || fail "no bus"
"$PY" -m dbusmock --system --template logind >"$WORK/mock.log" 2>&1 &
mock=$!
end_bus() {
  local status=$?
  set +e
  kill "$mock" "$bus" 2>/dev/null
  (exit $status)
  cleanup
}
trap end_bus EXIT
wait_for logind inhibitors 2>/dev/null || fail "no logind: $(cat "$WORK/mock.log")"
logind session

# --- sleep ----------------------------------------------------------------------------------------------------------
mount_vault --lock-on-suspend
pid=$(holder)
logind inhibitors >"$OUTPUT"
output_has "sleep tain delay locking $MNT"
echo text >"$MNT/file"
logind lock
sleep 0.5
mounted "$MNT" || fail "the screen is none of its business"
logind sleep
wait_for nobody_keeps_awake || fail "the machine would wait for ever"
# Whoever lets go of the inhibitor has ended, and the keys with it.
wait_for gone "$pid" || fail "still there"
not_mounted || fail "still mounted"
ok "locked before sleep"

mount_vault --lock-on-suspend --lock-on-screen
same "$(cat "$MNT/file")" text "what was written before"
exec 5<"$MNT/file"
pid=$(holder)
logind sleep
wait_for gone "$pid" || fail "an open file kept it open"
not_mounted || fail "still mounted"
if read -r _ <&5 2>/dev/null; then fail "an open file can still be read"; fi
exec 5<&-
ok "even with a file open"

# --- session lock ---------------------------------------------------------------------------------------------------
wait_for nobody_keeps_awake || fail "the inhibitor outlived the mount"
mount_vault -o lock_on_screen
pid=$(holder)
nobody_keeps_awake || fail "sleep is none of its business"
logind lock
wait_for gone "$pid" || fail "still there"
not_mounted || fail "still mounted"
ok "locked with the session"

# --- another one unmounts first; the bus goes away ---------------------------------------------------------------------
mount_vault --lock-on-suspend --lock-on-screen
unmount_vault
wait_for nobody_keeps_awake || fail "the inhibitor outlived the mount"
mount_vault --lock-on-suspend
kill "$bus"
sleep 0.5
echo more >>"$MNT/file"
same "$(cat "$MNT/file")" "text
more" "without a bus"
unmount_vault
ok "the mount outlives the bus"
