#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Space that is free inside a vault goes back to the disk: while somebody writes, while the server dies, unmounted.
# shellcheck disable=SC2034
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=${LONG:+30}
ROUNDS=${ROUNDS:-4}
DATABASE=$VAULT/data.mdb
# What is deleted shall be free at once, not in the trash.
mount_without_history() { mount_vault -o nohistory "$@"; }
kib() { du -k "$DATABASE" | cut -f 1; }
# fill NUMBER: that many files of 100 kB below $MNT/go, and as many small ones
fill() {
  mkdir -p "$MNT/go"
  "$PY" - "$MNT/go" "$1" <<'PY'
import os, sys
for i in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/big {i}", "wb") as f:
        f.write(os.urandom(100_000))
    with open(f"{sys.argv[1]}/small {i}", "wb") as f:
        f.write(b"an entry\n" * 50)
PY
  commit_all
}
# What must still be there, whatever happens to the free space.
keep() {
  mkdir "$MNT/kept"
  for i in $(seq 40); do head -c $((i * 5000)) /dev/urandom >"$MNT/kept/$i"; done
  commit_all
  (cd "$MNT/kept" && sha256sum -- *) >"$WORK/sums"
}
kept() { (cd "$MNT/kept" && sha256sum --quiet -c "$WORK/sums"); }
sound() {
  unmount_vault
  expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
  mount_without_history
  kept
}

# --- mounted --------------------------------------------------------------------------------------------------------
new_vault
mount_without_history
keep
fill 400
full=$(kib)
rm -r "$MNT/go"
expect_exit 0 "$TAIN" compact "$MNT"
output_has 'gave back [0-9.]+ MiB: the database takes .* of the disk, before'
[ "$(kib)" -lt $((full / 3)) ] || fail "the database takes $(kib) KiB, before $full"
kept
expect_exit 0 "$TAIN" compact --json "$VAULT"
same "$(member mounted)" True "whether it is mounted"
# What the commits of this very command freed.
[ "$(member returned_bytes)" -lt 1000000 ] || fail "gave back twice: $(cat "$OUTPUT")"
sound
ok "what was deleted goes back to the disk"

# --- while somebody writes ------------------------------------------------------------------------------------------
fill 400
full=$(kib)
cat >"$WORK/writer.py" <<'PY'
# Saves documents over and over, some with fsync, until told to stop; then leaves them as it says.
import hashlib, os, sys
top, stop, sums = sys.argv[1:]
os.makedirs(top, exist_ok=True)
version = 0
while not os.path.exists(stop):
    for i in range(8):
        version += 1
        data = (b"version %d of %d\n" % (version, i)) * (1 + version * 37 % 4000)
        with open(f"{top}/doc{i}.tmp", "wb") as f:
            f.write(data)
            f.flush()
            if version % 3:
                os.fsync(f.fileno())
        os.rename(f"{top}/doc{i}.tmp", f"{top}/doc{i}")
with open(sums, "w") as out:
    for i in range(8):
        with open(f"{top}/doc{i}", "rb") as f:
            out.write(f"{hashlib.sha256(f.read()).hexdigest()}  {top}/doc{i}\n")
PY
"$PY" "$WORK/writer.py" "$MNT/docs" "$WORK/stop" "$WORK/docs" &
writer=$!
rm -r "$MNT/go"
for _ in 1 2 3 4 5; do expect_exit 0 "$TAIN" compact "$MNT"; done
touch "$WORK/stop"
wait $writer
expect_exit 0 "$TAIN" compact "$MNT"
[ "$(kib)" -lt $((full / 2)) ] || fail "the database takes $(kib) KiB, before $full"
sound
sha256sum --quiet -c "$WORK/docs"
ok "while somebody writes"

# --- killed in the middle -------------------------------------------------------------------------------------------
interrupted=0
for round in $(seq "$ROUNDS"); do
  fill 200
  rm -r "$MNT/go"
  pid=$(holder)
  status=0
  "$TAIN" compact "$MNT" >"$WORK/killed" 2>&1 &
  compacting=$!
  sleep "0.0$((round * 7 % 10))"
  kill -9 "$pid"
  wait $compacting || status=$?
  [ $status = 0 ] || interrupted=$((interrupted + 1))
  wait_for not_mounted || fail "the mount of the killed process stays"
  mount_without_history
  kept
  sha256sum --quiet -c "$WORK/docs"
done
sound
expect_exit 0 "$TAIN" compact "$MNT"
echo "  $interrupted of $ROUNDS were killed in the middle"
ok "kill -9 in the middle"

# --- not mounted ----------------------------------------------------------------------------------------------------
fill 200
rm -r "$MNT/go"
unmount_vault
long=$(stat -c %s "$DATABASE")
full=$(kib)
expect_exit 0 "$TAIN" compact --json --passfile "$PASSFILE" "$VAULT"
same "$(member mounted)" False "whether it is mounted"
[ "$(member after_bytes)" -lt "$(member before_bytes)" ] || fail "nothing was given back: $(cat "$OUTPUT")"
[ "$(kib)" -lt "$full" ] || fail "the database takes $(kib) KiB, before $full"
[ "$(stat -c %s "$DATABASE")" -le "$long" ] || fail "the database became longer"
expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
expect_exit 0 "$TAIN" ls --passfile "$PASSFILE" "$VAULT" kept
mount_without_history --ro
kept
expect_exit 1 "$TAIN" compact "$MNT"
output_has 'without --ro'
unmount_vault
echo wrong >"$WORK/wrong"
chmod 600 "$WORK/wrong"
expect_exit 12 "$TAIN" compact --passfile "$WORK/wrong" "$VAULT"
ok "not mounted"
