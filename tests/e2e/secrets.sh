#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Passwords, keyfiles, recovery words and keys are in the arena of guarded memory, and nowhere else: not in other memory of
# any command while it runs, nor in what it writes, logs or leaves; after the lock they are nowhere (secret_search.py). Nor are
# the keys and PINs of devices (secret_devices.py).
# TAIN_LONG: looked at in every system call.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/devices.sh
. "$(dirname "$0")/devices.sh"

[ "$(id -u)" = 0 ] || skip "only root can look into processes that cannot be traced"
[ "$(uname -m)" = x86_64 ] || skip "knows the system calls of x86-64 only"
"$PY" -I -c 'import argon2, cryptography' 2>/dev/null || skip "needs python3-argon2 and python3-cryptography"
"$PY" -I "$TAIN_E2E_STAGE/e2e/secret_search.py" "$TAIN" "$WORK" "$TAIN_E2E_STAGE/vectors" ${LONG:+--every-call}

search_with() { # search_with DEVICE [COMMAND...]: started by the command
  local device=$1
  shift
  "$@" "$PY" -I "$TAIN_E2E_STAGE/e2e/secret_devices.py" "$TAIN" "$WORK" "$TAIN_E2E_STAGE/vectors" ${LONG:+--every-call} "$device"
}
for device in fido2 tpm2 keyring; do
  lacks=$("${device}_lacks")
  if [ -n "$lacks" ]; then
    echo "  ($device is not looked at: $lacks)"
    continue
  fi
  case $device in
    fido2)
      build_shim
      (umask 077 && printf 'pin-%s\n' "$(od -An -N12 -tx8 /dev/urandom | tr -d ' \n')" >"$WORK/secret-token-pin")
      plug_in device-token --pin "$(cat "$WORK/secret-token-pin")"
      search_with fido2 with_tokens
      pull_out device-token
      ;;
    tpm2)
      start_tpm device-tpm
      search_with tpm2
      stop_tpm
      ;;
    keyring)
      start_bus
      start_keyring
      search_with keyring
      stop "$keyring"
      stop "$bus"
      ;;
  esac
done
