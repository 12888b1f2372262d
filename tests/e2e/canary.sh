#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# After all kinds of work, no byte of the vault's directory tells a name, a content or the password.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# Random words, so that a hit can only be a leak. They are kept in this process: what is searched must not hold them.
word() { od -An -N12 -tx1 /dev/urandom | tr -d ' \n'; }
declare -A canary
for what in name long_name folder gone_name moved_name content big_content overwritten truncated gone_content link \
  xattr_name xattr_value mapped edited unsynced database committed; do
  canary[$what]=C$(word)
done

# Prints the canaries found in the files below the given folders, in several spellings.
search() {
  for what in "${!canary[@]}"; do printf '%s=%s\n' "$what" "${canary[$what]}"; done |
    "$PY" "$TAIN_E2E_STAGE/e2e/search_bytes.py" "$@"
}

work() {
  local d=$MNT/${canary[folder]} i
  mkdir -p "$d"
  echo "${canary[content]}" >"$d/${canary[name]}"
  echo x >"$d/${canary[long_name]}$(printf 'n%.0s' $(seq 200))"
  for i in $(seq 20000); do echo "${canary[big_content]} $i"; done >"$d/big"
  echo "${canary[gone_content]}" >"$d/${canary[gone_name]}"
  commit_all
  rm "$d/${canary[gone_name]}"
  echo "${canary[overwritten]}" >"$d/over"
  sync "$d/over"
  echo "something else entirely, and longer than what was there before" >"$d/over"
  for i in $(seq 3000); do echo "${canary[truncated]}"; done >"$d/cut"
  sync "$d/cut"
  : >"$d/cut"
  echo x >"$d/${canary[moved_name]}"
  sync "$d"
  mv "$d/${canary[moved_name]}" "$d/elsewhere"
  ln -sfn "${canary[link]}" "$d/link"
  "$PY" - "$d/big" "user.${canary[xattr_name]}" "${canary[xattr_value]}" "$d/mapped" "${canary[mapped]}" <<'END'
import mmap, os, sys
os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())
with open(sys.argv[4], "w+b") as f:
    f.truncate(100000)
    with mmap.mmap(f.fileno(), 0) as m:
        m[50000:50000 + len(sys.argv[5])] = sys.argv[5].encode()
        m.flush()
END
  if command -v vim >/dev/null; then
    vim -es -u NONE -N -i NONE -c 'set backup backupskip= backupdir=. swapfile directory=. updatecount=1' \
      -c "call setline(1, '${canary[edited]}')" -c 'preserve' -c 'wq' "$d/edited.md" </dev/null
  fi
  "$PY" - "$d/some.db" "${canary[database]}" <<'END'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE IF NOT EXISTS t (x)")
db.execute("INSERT INTO t VALUES (?)", (sys.argv[2],))
db.commit()
END
  if command -v git >/dev/null; then
    [ -d "$d/repo" ] || git init -q "$d/repo"
    echo "${canary[committed]}" >"$d/repo/${canary[committed]}"
    git -C "$d/repo" -c core.compression=0 add -A
    git -C "$d/repo" -c user.name=t -c user.email=t@example.org commit -q --allow-empty -m "${canary[committed]}"
  fi
  echo "${canary[unsynced]}" >"$d/unsynced"
}

# The search itself must be able to find.
mkdir "$WORK/control"
printf 'xx%syy' "${canary[content]}" >"$WORK/control/a"
printf '%s' "${canary[name]}" | iconv -t UTF-16LE >"$WORK/control/b"
touch "$WORK/control/${canary[folder]}"
same "$(search "$WORK/control" | awk '{ print $1 }' | sort | tr '\n' ' ')" "content folder name " "the search finds"
rm -r "$WORK/control"
canary[password]=$(cut -d' ' -f3 "$PASSFILE")

expect_clean() {
  local found
  found=$(search "$VAULT" "$XDG_RUNTIME_DIR" "$HOME")
  [ -z "$found" ] || fail "$1: $found"
  ok "nothing found $1"
}

new_vault
mount_vault
work
commit_all
expect_clean "while mounted"
pid=$(holder)
kill -9 "$pid"
wait_for gone "$pid" || fail "process $pid lives after kill -9"
expect_clean "after kill -9 while mounted"
mount_vault
grep -q "${canary[big_content]} 20000" "$MNT/${canary[folder]}/big" || fail "the synced content is not there"
work
unmount_vault
expect_clean "after unmount"
[ "$(du -sb "$VAULT" | cut -f1)" -gt 500000 ] || fail "the vault is too small to have been written"
mount_vault
rm -rf "${MNT:?}/${canary[folder]}"
unmount_vault
expect_clean "after everything was deleted"
[ -z "$(ls -A "$MNT" 2>/dev/null)" ] || fail "the bare mountpoint is not empty"
