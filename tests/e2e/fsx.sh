#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random input and output against a copy in memory, across remounts and kills. Long: a million operations, ten seeds.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

new_vault
mount_vault
remount="'$TAIN' mount --passfile '$PASSFILE' '$VAULT' '$MNT' >/dev/null"
unmount="'$TAIN' unmount '$MNT'"
kill="kill -9 \$(sed -n 1p '$VAULT/lock'); for i in \$(seq 6000); do grep -q ' $MNT ' /proc/self/mounts || exit 0; sleep 0.02; done; exit 1"
fsx() { "$PY" "$TAIN_E2E_STAGE/e2e/fsx.py" --mount "$MNT" "$@"; }

if [ -z "$LONG" ]; then
  fsx --seed 1 --operations 5000
  fsx --seed 2 --operations 4000 --every 500 --remount "$remount" --unmount "$unmount" --kill "$kill"
else
  for seed in $(seq 5); do fsx --seed "$seed" --operations 150000; done
  for seed in $(seq 6 10); do
    fsx --seed "$seed" --operations 50000 --every 500 --remount "$remount" --unmount "$unmount" --kill "$kill"
  done
fi
unmount_vault
