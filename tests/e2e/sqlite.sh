#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SQLite in rollback and WAL mode: many commits, a killed writer, integrity_check; readers beside a writer.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
"$PY" -c 'import sqlite3' 2>/dev/null || skip "python has no sqlite3 module"

db() { "$PY" "$TAIN_E2E_STAGE/e2e/sqlite_work.py" "$@"; }

new_vault
mount_vault
for mode in delete truncate persist wal; do
  file=$MNT/$mode.db
  db fill "$file" $mode 200
  db check "$file" 200
  db readers "$file" 100
  db check "$file" 300
  ok "$mode: commits, integrity_check, readers beside a writer"
  db killed "$file" 3
  ok "$mode: a writer killed three times lost no commit"
done
if command -v sqlite3 >/dev/null; then
  same "$(sqlite3 "$MNT/wal.db" 'PRAGMA integrity_check')" ok "sqlite3 says"
  sqlite3 "$MNT/delete.db" 'VACUUM'
  same "$(sqlite3 "$MNT/delete.db" 'PRAGMA integrity_check')" ok "after VACUUM"
  ok "sqlite3: integrity_check, VACUUM"
fi

declare -A count
for mode in delete truncate persist wal; do count[$mode]=$(db count "$MNT/$mode.db"); done
remount
for mode in delete truncate persist wal; do db check "$MNT/$mode.db" "${count[$mode]}"; done
ok "the same after unmount and mount"
unmount_vault
