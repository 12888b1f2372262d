#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# passwd, key add, key remove and key rotate, killed at their system calls that write (key_kills.py).
# shellcheck disable=SC2034
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

need strace
strace -f -o /dev/null -e inject=getppid:signal=KILL:when=1 true 2>/dev/null || skip "strace cannot trace here"

printf 'second\n' >"$WORK/second"
printf 'third\n' >"$WORK/third"
chmod 600 "$WORK/second" "$WORK/third"
new_vault
mount_vault
echo "dear diary" >"$MNT/diary"
head -c 300000 /dev/urandom >"$MNT/large"
unmount_vault
expect_exit 0 "$TAIN" key add --kdf-time 0 --passfile "$PASSFILE" --new-passfile "$WORK/second" --new-keyfile "$WORK/keyfile" \
  "$VAULT" keyfile
"$PY" "$TAIN_E2E_STAGE/e2e/key_kills.py" "$TAIN" "$VAULT" "$WORK"
ok "killed anywhere, the vault opens with what was last said to work, and the change can be made again"
