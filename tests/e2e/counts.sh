#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What operations cost, in requests of the kernel, flushes and bytes: a change for the worse shows here as a count.
# shellcheck disable=SC2034 # for lib.sh: what the kernel keeps is not asked for again
OWNS_CACHES=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

counts() { "$PY" "$TAIN_E2E_STAGE/e2e/counts.py" "$VAULT" "$MNT" "$1"; }

new_vault
mount_vault
counts create
counts save
counts write
remount
counts list
counts read
# The kernel may have dropped a page; what was read a second time must then be there.
counts again || counts again
counts read-large
counts overwrite
remount
counts delete
unmount_vault
