#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the daemon at random moments of a mixed workload: no fsynced byte lost, no half-made change visible.
# Rounds and seed are fixed: 10, or 500 with TAIN_LONG=1. Other ones: kill9.py --help.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

rounds=10
[ -z "$LONG" ] || rounds=500
new_vault
"$PY" "$TAIN_E2E_STAGE/e2e/kill9.py" --tain "$TAIN" --vault "$VAULT" --mount "$MNT" --passfile "$PASSFILE" \
  --oracle "$WORK/oracle" --rounds $rounds --seed 20261122
