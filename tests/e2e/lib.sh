# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What every end-to-end family shares: a stage, a vault, assertions, and an end that leaves nothing behind.
#
# A family is a script that sources this file and then uses $TAIN, $VAULT, $MNT and $WORK. Started as root it runs
# twice, as root and as an ordinary user made for the purpose; started by a user it runs once. TAIN names the program
# (default: the newest build/*/tain), TAIN_LONG=1 asks for the long version, TAIN_E2E_KEEP=1 keeps the stage,
# TAIN_E2E_AS=root or =user runs one of the two. Exit: 0 passed, 77 skipped, else failed.
set -euo pipefail
shopt -s inherit_errexit

FAMILY=$(basename "$0" .sh)
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

skip() { echo "SKIP $FAMILY: $*"; exit 77; }
fail() { echo "FAIL $FAMILY as ${WHO:-?}: $*" >&2; exit 1; }

# --- first pass: a stage that an ordinary user can reach, then the family once for each kind of user -------------

test_user=taintest
# Dropping the kernel's caches drops those of every mount of the machine. Whoever drops them takes this lock for the
# moment; a family that counts what they save sets OWNS_CACHES and has it from its beginning to its end.
caches_lock=/tmp/tain-e2e-caches.lock

prepare_fuse() {
  [ -c /dev/fuse ] || skip "no /dev/fuse: load the module, or give the container --device /dev/fuse --cap-add SYS_ADMIN"
  if [ "$(id -u)" = 0 ] && [ "$(stat -c %a /dev/fuse)" != 666 ]; then chmod 0666 /dev/fuse; fi
  [ -w /dev/fuse ] || skip "/dev/fuse is not open to $(id -un)"
  command -v fusermount3 >/dev/null || skip "fusermount3 is missing (package fuse3)"
}

# Runs the family as $1 (root, user or self) in the stage; returns its status.
run_as() {
  local who=$1 work=$stage/$1
  mkdir -m 0700 "$work" "$work/home" "$work/run"
  local clean=(env -i "PATH=$PATH" "HOME=$work/home" "XDG_RUNTIME_DIR=$work/run" LC_ALL=C.UTF-8 TERM=xterm
    "TAIN=$stage/tain" "WORK=$work" "WHO=$who" "TAIN_LONG=${TAIN_LONG:-}" "TAIN_E2E_STAGE=$stage"
    "ASAN_OPTIONS=${ASAN_OPTIONS:-}" "TSAN_OPTIONS=${TSAN_OPTIONS:-}")
  if [ "$who" = user ]; then
    chown -R "$test_user": "$work"
    clean=(setpriv --reuid "$test_user" --regid "$test_user" --init-groups "${clean[@]}")
  fi
  # Who comes to the end says so: a shell that a signal ends has the status of its last command, which may be 0.
  # shellcheck disable=SC2016
  exec "${clean[@]}" bash -c '. "$0"; REACHED_ITS_END=1' "$stage/e2e/$FAMILY.sh"
}

# Whether process $1 is gone (a zombie that nobody reaped is gone too: its memory is).
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

# A signal ends this pass only: the family ends with it, and cleans up, before its stage is taken away.
end_pass() {
  local children='' child
  read -r children <"/proc/$$/task/$$/children" || true
  for child in $children; do
    kill "$child" 2>/dev/null || continue
    until gone "$child"; do sleep 0.05; done
  done
  [ -n "${TAIN_E2E_KEEP:-}" ] || rm -rf --one-file-system "$stage"
}

first_pass() {
  local root wanted status=0 ran=0 result who
  root=$(cd "$HERE/../.." && pwd)
  TAIN=${TAIN:-$(find "$root/build" -maxdepth 2 -name tain -type f -perm -u+x -printf '%T@ %p\n' 2>/dev/null |
    sort -rn | sed -n '1s/^[^ ]* //p')}
  [ -x "$TAIN" ] || { echo "$FAMILY: no tain program; build it or set TAIN" >&2; exit 1; }
  prepare_fuse

  stage=$(mktemp -d "${TMPDIR:-/tmp}/tain-e2e.XXXXXX")
  chmod 0755 "$stage"
  trap end_pass EXIT
  cp "$TAIN" "$stage/tain"
  cp -r "$HERE" "$stage/e2e"
  cp -r "$HERE/../vectors" "$stage/vectors"
  cp "$root/store/recovery_word_list.cc" "$stage/vectors/"
  chmod -R a+rX "$stage/tain" "$stage/e2e" "$stage/vectors"

  wanted=${TAIN_E2E_AS:-}
  if [ "$(id -u)" != 0 ]; then
    wanted=self
  elif [ -z "$wanted" ]; then
    wanted="root user"
    # What hardly depends on the user says ONE_USER=1; the long run does not take its word.
    if [ -n "${ONE_USER:-}" ] && [ -z "${TAIN_LONG:-}" ]; then wanted=user; fi
  fi
  if [[ $wanted == *user* ]]; then
    # Families run side by side, also those of other checks, and share the user: the last one to let go of the lock
    # removes it.
    exec 9>/tmp/tain-e2e-user.lock
    flock -s 9
    (
      flock 8
      id "$test_user" >/dev/null 2>&1 || useradd --no-create-home --shell /bin/bash "$test_user"
    ) 8>/tmp/tain-e2e-make-user.lock
  fi
  if [ -n "${OWNS_CACHES:-}" ]; then
    [ -e "$caches_lock" ] || : >"$caches_lock"
    exec 8<"$caches_lock"
    flock 8
  fi
  for who in $wanted; do
    result=0
    (exec 8<&- 9>&-; run_as "$who") || result=$?
    case $result in
      0) ran=1 ;;
      77) ;;
      *) status=1 ;;
    esac
  done
  if [[ $wanted == *user* ]] && flock -n 9; then userdel "$test_user" 2>/dev/null || true; fi
  if [ $status = 0 ] && [ $ran = 0 ]; then status=77; fi
  exit $status
}

if [ -z "${TAIN_E2E_STAGE:-}" ] || [ -z "${WORK:-}" ]; then first_pass; fi

# --- second pass: inside the stage ---------------------------------------------------------------------------------

# The system's python: one below a developer's home cannot be run by the ordinary user.
PY=/usr/bin/python3
[ -x "$PY" ] || PY=$(command -v python3)
export PYTHONDONTWRITEBYTECODE=1
VAULT=$WORK/vault
MNT=$WORK/mnt
PASSFILE=$WORK/pass
OUTPUT=$WORK/output
LONG=${TAIN_LONG:-}
export LONG PY
printf 'correct horse %s\n' "$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')" >"$PASSFILE"
chmod 600 "$PASSFILE"
umask 022
mkdir "$MNT"
cd "$WORK"
pids=()
REACHED_ITS_END=

mounted() { awk -v m="$1" '$2 == m { found = 1 } END { exit !found }' /proc/self/mounts; }
not_mounted() { ! mounted "$MNT"; }
# Waits until the command succeeds; two minutes only keep a loaded machine from failing what is right.
wait_for() {
  local end=$((SECONDS + 120))
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.05
  done
}
# The pid in the lock file of vault $1.
holder() { sed -n '1s/^\([0-9][0-9]*\).*/\1/p' "${1:-$VAULT}/lock"; }

cleanup() {
  local status=$? where pid
  trap - EXIT
  set +e
  cd /
  if [ $status = 0 ] && [ -z "$REACHED_ITS_END" ]; then
    echo "$FAMILY: ended before its end" >&2
    status=1
  fi
  if [ $status != 0 ] && [ $status != 77 ] && [ -s "$OUTPUT" ]; then
    echo "--- last output of tain:" >&2
    tail -n 20 "$OUTPUT" >&2
  fi
  awk '{ print $2 }' /proc/self/mounts | grep -F "$WORK/" | tac | while read -r where; do
    "$TAIN" unmount "$where" >/dev/null 2>&1
    fusermount3 -uzq "$where" 2>/dev/null
  done
  for where in "$WORK"/*/lock; do
    [ -s "$where" ] && pids+=("$(holder "$(dirname "$where")")")
  done
  for pid in "${pids[@]}"; do
    # Only a process that still runs this stage's program or that we started.
    if [ -n "$pid" ] && ! gone "$pid" && readlink "/proc/$pid/exe" | grep -q "^$TAIN_E2E_STAGE/"; then kill -9 "$pid"; fi
  done
  # tain keeps the bare mountpoint closed, for root with the immutable attribute.
  chattr -i "$WORK"/* 2>/dev/null
  case $status in
    0) echo "PASS $FAMILY as $WHO" ;;
    77) ;;
    *) echo "FAIL $FAMILY as $WHO (status $status)" >&2 ;;
  esac
  exit $status
}
trap cleanup EXIT
trap 'echo "$0:$LINENO: failed: $BASH_COMMAND" >&2' ERR

ok() { echo "  ok: $*"; }

# expect_exit STATUS COMMAND...: runs it, keeps what it says in $OUTPUT, compares the exit status.
expect_exit() {
  local wanted=$1 got=0
  shift
  "$@" >"$OUTPUT" 2>&1 </dev/null || got=$?
  [ "$got" = "$wanted" ] || fail "'$*' exited $got instead of $wanted"
}
# output_has REGEX: the last expect_exit said so.
output_has() { grep -Eqi -- "$1" "$OUTPUT" || fail "expected /$1/ in: $(cat "$OUTPUT")"; }
# member NAME...: of the JSON object that the last expect_exit printed; None where there is none.
member() {
  "$PY" - "$OUTPUT" "$@" <<'PY'
import json, sys
value = json.loads(next(line for line in open(sys.argv[1]) if line.startswith("{")))
for name in sys.argv[2:]:
    if isinstance(value, list):
        value = value[int(name)]
    else:
        value = value.get(name) if value is not None else None
print(value)
PY
}
same() { [ "$1" = "$2" ] || fail "${3:-values differ}: '$1' is not '$2'"; }
need() {
  local program
  for program in "$@"; do command -v "$program" >/dev/null || skip "$program is not installed"; done
}

# The cheapest KDF: these tests are about everything else.
new_vault() { expect_exit 0 "$TAIN" init --kdf-time 0 --passfile "$PASSFILE" "$@" "$VAULT"; }
mount_vault() {
  expect_exit 0 "$TAIN" mount --passfile "$PASSFILE" "$@" "$VAULT" "$MNT"
  mounted "$MNT" || fail "mount returned, but $MNT is not mounted"
}
unmount_vault() {
  local pid
  pid=$(holder)
  expect_exit 0 "$TAIN" unmount "$MNT"
  if mounted "$MNT"; then fail "unmount returned, but $MNT is still mounted"; fi
  if [ -n "$pid" ] && ! gone "$pid"; then fail "unmount returned, but process $pid lives"; fi
}
# Unmount and mount again: everything after it is read from the store, not from a cache.
remount() {
  unmount_vault
  drop_caches
  mount_vault
}
# Long kernel timeouts hide mistakes, so look again without them. Only root can.
drop_caches() {
  [ "$(id -u)" = 0 ] || return 0
  sync -f "$WORK"
  if [ -n "${OWNS_CACHES:-}" ]; then
    echo 3 2>/dev/null >/proc/sys/vm/drop_caches || true
  else
    [ -e "$caches_lock" ] || : >"$caches_lock"
    (flock 8 && echo 3 2>/dev/null >/proc/sys/vm/drop_caches) 8<"$caches_lock" || true
  fi
}
# Returns when everything that was changed in the mount of vault ${1:-$VAULT} is in its database. sync(1) reaches no FUSE
# file system, and an fsync only the journal.
commit_all() {
  "$PY" - "$(sed -n 3p "${1:-$VAULT}/lock")" <<'END'
import json, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    with connection.makefile("rw", encoding="utf-8") as stream:
        stream.write(json.dumps({"op": "sync"}) + "\n")
        stream.flush()
        reply = json.loads(stream.readline())
        assert reply["ok"], reply
END
}
