#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Four processes change names, links and attributes as fast as they can, across remounts and kills.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

remount="'$TAIN' mount --passfile '$PASSFILE' '$VAULT' '$MNT' >/dev/null"
unmount="'$TAIN' unmount '$MNT'"
kill="kill -9 \$(sed -n 1p '$VAULT/lock'); for i in \$(seq 6000); do grep -q ' $MNT ' /proc/self/mounts || exit 0; sleep 0.02; done; exit 1"
storm() { # storm SEED ARGUMENT…: in a new vault
  local seed=$1
  shift
  rm -rf "$VAULT" "$WORK/memory"
  mkdir "$WORK/memory"
  new_vault
  mount_vault
  "$PY" "$TAIN_E2E_STAGE/e2e/storm.py" --mount "$MNT" --folder "$WORK/memory" --seed "$seed" \
    --remount "$remount" --unmount "$unmount" "$@"
  unmount_vault
}

if [ -z "$LONG" ]; then
  storm 1 --operations 400
  storm 2 --operations 100000 --kill "$kill" --after 2
else
  for seed in $(seq 10); do storm "$seed" --operations 5000; done
  for seed in $(seq 11 40); do storm "$seed" --operations 1000000 --kill "$kill" --after "$((seed % 7 + 1)).3"; done
fi
