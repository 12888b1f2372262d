#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What e2e/lib.sh says of a family that comes to its end, fails, skips, or is ended by a signal before: e2e_end_test.sh.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
[ -w /dev/fuse ] || { echo "SKIP e2e_end: no /dev/fuse"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tests/e2e" "$work/store" "$work/stages"
cp "$HERE/e2e/lib.sh" "$work/tests/e2e/"
cp -r "$HERE/vectors" "$work/tests/"
cp "$HERE/../store/recovery_word_list.cc" "$work/store/"

# start BODY: a family of that body.
start() {
  { # it uses neither the program nor the vault
    # shellcheck disable=SC2016
    echo '. "$(dirname "$0")/lib.sh"'
    echo "$1"
  } >"$work/tests/e2e/sample.sh"
  rm -f "$work/pid"
  TAIN=/bin/true TAIN_LONG='' TAIN_E2E_AS=root TMPDIR=$work/stages bash "$work/tests/e2e/sample.sh" >"$work/output" 2>&1 &
  family=$!
}
# ends_with STATUS TEXT: it does, and leaves nothing behind.
ends_with() {
  local got=0
  wait "$family" || got=$?
  [ "$got" = "$1" ] || { echo "FAIL: status $got instead of $1: $(cat "$work/output")"; exit 1; }
  grep "^$2 sample" "$work/output" >/dev/null || { echo "FAIL: does not say $2: $(cat "$work/output")"; exit 1; }
  if [ "$2" != PASS ] && grep '^PASS' "$work/output"; then echo "FAIL: says PASS"; exit 1; fi
  [ -z "$(ls "$work/stages")" ] || { echo "FAIL: its stage is left"; exit 1; }
}

start 'ok fine'
ends_with 0 PASS
start 'false'
ends_with 1 FAIL
start 'skip "not here"'
ends_with 77 SKIP
start '(exit 0) && exit 0'
ends_with 1 FAIL

sleeps="echo \$\$ >$work/pid; sleep 600"
for whom in family outside; do
  start "$sleeps"
  until [ -s "$work/pid" ] && read -rd " " sleep <"/proc/$(cat "$work/pid")/task/$(cat "$work/pid")/children"; do sleep 0.05; done
  if [ $whom = family ]; then
    kill "$(cat "$work/pid")"
    ends_with 1 FAIL
  else
    kill "$family"
    ends_with 143 FAIL
  fi
  kill "$sleep" # which goes on without its shell
done
echo "PASS e2e_end"
