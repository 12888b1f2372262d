#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Passwords, keyfiles, recovery words and keys are in the arena of guarded memory, and nowhere else: not in other memory of
# any command while it runs, nor in what it writes, logs or leaves; after the lock they are nowhere (secret_search.py).
# TAIN_LONG: looked at in every system call.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || skip "only root can look into processes that cannot be traced"
[ "$(uname -m)" = x86_64 ] || skip "knows the system calls of x86-64 only"
"$PY" -I -c 'import argon2, cryptography' 2>/dev/null || skip "needs python3-argon2 and python3-cryptography"
"$PY" -I "$TAIN_E2E_STAGE/e2e/secret_search.py" "$TAIN" "$WORK" "$TAIN_E2E_STAGE/vectors" ${LONG:+--every-call}
