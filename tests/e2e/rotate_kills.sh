#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A change of the master key while somebody writes, and the serving process is killed again and again: it ends, and all
# that was acknowledged is there. TAIN_LONG: a gigabyte and ten kills.
# shellcheck disable=SC2034
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

files=6 megabytes=5 kills=3
if [ -n "$LONG" ]; then files=100 megabytes=10 kills=10; fi

rotating() { expect_exit 0 "$TAIN" status --json "$VAULT" && member rotation running; }
sums() { (cd "$MNT" && sha256sum large-*); }

# Saves numbers, each with fsync, until the mount dies; what is acknowledged goes to a file outside.
write_on() {
  "$PY" - "$MNT/saved" "$WORK/acknowledged" <<'PY'
import os, sys
folder, log = sys.argv[1:]
acknowledged = open(log, "a")
number = sum(1 for _ in open(log))
try:
    os.makedirs(folder, exist_ok=True)
    while True:
        path = os.path.join(folder, "%d.md" % (number % 1000))
        with open(path + ".new", "w") as f:
            f.write("%d\n" % number)
            f.flush()
            os.fsync(f.fileno())
        os.rename(path + ".new", path)
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        acknowledged.write("%d\n" % number)
        acknowledged.flush()
        number += 1
except OSError:
    pass
PY
}
# Everything acknowledged is there, or what came after it under the same name.
look_at_saves() {
  "$PY" - "$MNT/saved" "$WORK/acknowledged" <<'PY'
import os, sys
folder, log = sys.argv[1:]
newest = {}
for line in open(log):
    newest[int(line) % 1000] = int(line)
for name, number in newest.items():
    found = int(open(os.path.join(folder, "%d.md" % name)).read())
    if found < number or found % 1000 != name:
        sys.exit("%d.md has %d, and %d was acknowledged" % (name, found, number))
PY
}

new_vault
mount_vault
for i in $(seq $files); do head -c $((megabytes * 1000000)) /dev/urandom >"$MNT/large-$i"; done
: >"$WORK/acknowledged"
sums >"$WORK/sums"
unmount_vault

# It begins, and is killed at once.
cp "$VAULT/header" "$WORK/header-before"
"$TAIN" key rotate --void-others --passfile "$PASSFILE" "$VAULT" >/dev/null 2>&1 &
rotate=$!
while cmp -s "$VAULT/header" "$WORK/header-before"; do sleep 0.02; done
kill -9 "$rotate" 2>/dev/null || true
wait "$rotate" 2>/dev/null || true

killed_while_rotating=0
for kill in $(seq $kills); do
  mount_vault
  look_at_saves || fail "after kill $((kill - 1))"
  write_on &
  writer=$!
  # The first one at once: a small vault may be done a moment later.
  if [ "$kill" != 1 ]; then sleep "0.$((RANDOM % 9 + 1))"; fi
  if [ "$(rotating)" = True ]; then killed_while_rotating=$((killed_while_rotating + 1)); fi
  pid=$(holder)
  kill -9 "$pid"
  wait "$writer"
  wait_for gone "$pid"
  wait_for not_mounted || fail "the supervisor left the dead mount"
done
[ $killed_while_rotating -gt 0 ] || fail "no kill came while it went on"
[ -s "$WORK/acknowledged" ] || fail "nothing was saved"
ok "$kills kills, $killed_while_rotating of them while it went on; $(wc -l <"$WORK/acknowledged") saves were acknowledged"

mount_vault
look_at_saves || fail "after the last kill"
if [ "$(rotating)" = True ]; then
  expect_exit 0 "$TAIN" key rotate --json "$MNT"
  same "$(member "done")" True
fi
sums | diff - "$WORK/sums" || fail "content changed"
look_at_saves || fail "at the end"
unmount_vault
expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
cp "$VAULT/header" "$WORK/new-header"
cp "$WORK/header-before" "$VAULT/header"
cp "$WORK/header-before" "$VAULT/header.bak"
expect_exit 26 "$TAIN" ls --passfile "$PASSFILE" "$VAULT"
ok "it came to its end, everything is there, and the key of before opens nothing"
