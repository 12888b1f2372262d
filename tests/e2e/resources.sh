#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a mount costs does not grow with the vault: memory, descriptors, the work of mounting, wake-ups when idle.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

ENTRIES=${LONG:+1000000}
ENTRIES=${ENTRIES:-30000}
HUGE=100G
measure() { "$PY" "$TAIN_E2E_STAGE/e2e/resources.py" "$@"; }
of() { measure count "$1" "$(holder)"; }
# at_most WHAT GOT LIMIT
at_most() {
  [ "$2" -le "$3" ] || fail "$1: $2, more than $3"
  echo "  $1: $2 (limit $3)"
}

# --- an empty vault is the measure ----------------------------------------------------------------------------------
new_vault
mount_vault
faults_empty=$(of faults)
descriptors=$(of descriptors)
threads=10 # of libfuse, at most, each with a descriptor of its own
unmount_vault

# --- many entries ------------------------------------------------------------------------------------------------------
mount_vault
measure make "$MNT" "$ENTRIES"
at_most "kB resident at most, after making $ENTRIES entries" "$(of peak)" 204800
remount
# What mounting touches: pages of the database among them. A tree that has more entries is a level or two higher.
at_most "page faults of a mount beyond those of an empty vault" $(($(of faults) - faults_empty)) 400
at_most "kB resident when it is not used" "$(of resident)" 40960
measure list "$MNT" "$ENTRIES"
at_most "kB resident at most, after listing all with their attributes" "$(of peak)" 204800
small() { [ "$(of resident)" -le 40960 ]; }
wait_for small || true # the caches are emptied when nobody uses the vault
at_most "kB resident a while after that" "$(of resident)" 40960
grep -rq "no such line" "$MNT" && fail "found what is not there"
at_most "kB resident at most, after reading all" "$(of peak)" 204800
at_most "open descriptors" "$(of descriptors)" $((descriptors + threads))
ok "$ENTRIES entries"

# --- a file far larger than the disk -------------------------------------------------------------------------------------
truncate -s $HUGE "$MNT/huge"
measure sparse "$MNT/huge"
remount
measure sparse-check "$MNT/huge"
fallocate -p -o 1M -l 90G "$MNT/huge"
remount
measure punched-check "$MNT/huge" $((1 << 20)) $(((90 << 30) + (1 << 20)))
rm "$MNT/huge"
commit_all
at_most "kB resident at most, after a file of $HUGE with holes" "$(of peak)" 204800
at_most "open descriptors" "$(of descriptors)" $((descriptors + threads))
ok "a file of $HUGE"

# --- nothing to do: nothing is done ---------------------------------------------------------------------------------------
commit_all
sleep 3 # the timer of disuse, and whoever was busy with the commit
at_most "wake-ups of all threads in five seconds without work" "$(measure wakeups "$(holder)" 5)" 10
unmount_vault
