# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Devices that keep keys, for families that source this file after lib.sh: FIDO2 tokens in software (fido2_token.py), TPMs of
# swtpm, a keyring on a bus of its own. They end with the family.

# Each says what the machine lacks for one of them; nothing if nothing.
fido2_lacks() {
  command -v cc >/dev/null || echo "cc is not installed"
  # -I: a file of this folder has the name of a module of the standard library.
  "$PY" -I -c 'import cryptography' 2>/dev/null || echo "cryptography is missing (package python3-cryptography)"
  "$PY" -I -c 'import ctypes; ctypes.CDLL("libfido2.so.1")' 2>/dev/null || echo "libfido2.so.1 is missing (package libfido2-1)"
}
tpm2_lacks() {
  command -v swtpm >/dev/null || echo "swtpm is not installed"
  "$PY" -I -c 'import ctypes; ctypes.CDLL("libtss2-tcti-swtpm.so.0")' 2>/dev/null ||
    echo "tpm2-tss cannot talk to swtpm (package libtss2-tcti-swtpm0)"
}
keyring_lacks() {
  local program
  for program in gnome-keyring-daemon dbus-daemon gdbus; do
    command -v $program >/dev/null || { echo "$program is not installed"; return; }
  done
  # It has a file capability, which not every container lets a program have.
  gnome-keyring-daemon --version >/dev/null 2>&1 || echo "gnome-keyring-daemon cannot be run here"
}
need_device() { # need_device NAME, or skip
  local lacks
  lacks=$("$1_lacks")
  [ -z "$lacks" ] || skip "$lacks"
}

# Not left behind when a check fails.
others=() # processes that the family adds
end_devices() {
  local status=$? pid
  set +e
  for pid in "${tokens[@]}" "$tpm" "$keyring" "$bus" "${others[@]}"; do
    [ -z "$pid" ] || gone "$pid" || kill "$pid" 2>/dev/null
  done
  (exit $status) # which is what cleanup looks at
  cleanup
}
trap end_devices EXIT

# --- FIDO2 ----------------------------------------------------------------------------------------------------------
declare -A tokens=() # the processes of those that are plugged in, by name
build_shim() {
  cc -shared -fPIC -O0 -U_FORTIFY_SOURCE -Wall -Wextra -o "$WORK/shim.so" "$TAIN_E2E_STAGE/e2e/fido2_shim.c" -ldl
}
pull_out() { # pull_out NAME
  kill "${tokens[$1]}"
  wait "${tokens[$1]}" 2>/dev/null || true
  rm -f "$WORK/$1.socket"
  unset "tokens[$1]"
}
plug_in() { # plug_in NAME OPTIONS...: the token of that name, which is made the first time
  local name=$1
  shift
  if [ -n "${tokens[$name]:-}" ]; then pull_out "$name"; fi
  "$PY" -I "$TAIN_E2E_STAGE/e2e/fido2_token.py" "$WORK/$name.socket" "$WORK/$name" "$@" 2>"$WORK/$name.log" &
  tokens[$name]=$!
  wait_for test -S "$WORK/$name.socket" || fail "no token: $(cat "$WORK/$name.log")"
}
with_tokens() { # with_tokens COMMAND...: where the plugged in ones are the only ones
  local name all=
  for name in "${!tokens[@]}"; do all+=${all:+:}$WORK/$name.socket; done
  env LD_PRELOAD="$WORK/shim.so" TAIN_TEST_FIDO2_TOKENS="$all" "$@"
}

# --- TPM2 -----------------------------------------------------------------------------------------------------------
tpm='' port=''
tpm_helper() { "$PY" "$TAIN_E2E_STAGE/e2e/tpm2.py" "$@"; }
use_port() { export TAIN_TPM2_TCTI=swtpm:host=127.0.0.1,port=$1; }
# start_tpm NAME: the one whose state is in the folder of that name.
start_tpm() {
  mkdir -p "$WORK/$1"
  for _ in 1 2 3 4 5; do # somebody else may take the ports first
    port=$(tpm_helper ports)
    swtpm socket --tpm2 --tpmstate "dir=$WORK/$1" --server "type=tcp,port=$port,bindaddr=127.0.0.1" \
      --ctrl "type=tcp,port=$((port + 1)),bindaddr=127.0.0.1" --flags not-need-init,startup-clear >"$WORK/$1.log" 2>&1 &
    tpm=$!
    until tpm_helper reach "$port" 2>/dev/null || gone $tpm; do sleep 0.05; done
    if ! gone $tpm; then
      use_port "$port"
      return
    fi
    tpm=''
  done
  fail "swtpm does not start: $(cat "$WORK/$1.log")"
}
stop_tpm() {
  [ -z "$tpm" ] || { kill "$tpm" && wait "$tpm"; } 2>/dev/null || true
  tpm=''
}

# --- keyring --------------------------------------------------------------------------------------------------------
bus='' keyring=''
start_bus() { # one that starts no service by itself
  cat >"$WORK/bus.conf" <<END
<busconfig>
  <type>session</type>
  <listen>unix:dir=$WORK/run</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
END
  dbus-daemon --config-file="$WORK/bus.conf" --nofork --print-address=3 3>"$WORK/address" >"$WORK/bus.log" 2>&1 &
  bus=$!
  wait_for test -s "$WORK/address"
  DBUS_SESSION_BUS_ADDRESS=$(cat "$WORK/address")
  export DBUS_SESSION_BUS_ADDRESS
}
start_keyring() { # unlocked with the password of the login
  printf 'login' | gnome-keyring-daemon --unlock --foreground --components=secrets --control-directory="$WORK/run/keyring" \
    >"$WORK/keyring.log" 2>&1 &
  keyring=$!
  wait_for gdbus introspect --session --dest org.freedesktop.secrets --object-path /org/freedesktop/secrets >/dev/null 2>&1
}
stop() { # stop PID
  kill "$1" 2>/dev/null || true
  wait_for gone "$1"
}
