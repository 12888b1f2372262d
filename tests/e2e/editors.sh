#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How editors save: backups, swap files, temporary files renamed over the original, rewriting in place.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

new_vault
mount_vault
tried=0

line() { printf 'old line\nsecond line\n' >"$1"; }
expect_new() {
  same "$(cat "$1")" $'new line\nsecond line' "$2"
  ok "$2"
}

vim=$(command -v vim || command -v vim.basic || command -v vim.tiny || true)
if [ -n "$vim" ]; then
  tried=1
  for copy in yes no auto; do
    file=$MNT/vim-$copy.md
    line "$file"
    chmod 0640 "$file"
    (cd "$MNT" && "$vim" -es -u NONE -N -i NONE \
      -c "set backup writebackup backupcopy=$copy backupdir=. backupskip= directory=. swapfile updatecount=1 fsync" \
      -c '%s/old/new/' -c 'preserve' -c 'wq' "$(basename "$file")" </dev/null)
    expect_new "$file" "vim backupcopy=$copy"
    same "$(head -n1 "$file~")" "old line" "vim's backup"
    same "$(stat -c %a "$file")" 640 "mode after vim"
    [ -z "$(find "$MNT" -name '.*.sw?')" ] || fail "vim left its swap file"
  done
fi

if command -v emacs >/dev/null; then
  tried=1
  for how in "nil nil" "t nil" "nil t"; do # backup-by-copying, file-precious-flag
    read -r by_copying precious <<<"$how"
    file=$MNT/emacs-$by_copying-$precious.md
    line "$file"
    emacs --batch -Q --eval "(progn (setq make-backup-files t create-lockfiles t write-region-inhibit-fsync nil
        backup-by-copying $by_copying file-precious-flag $precious backup-enable-predicate (lambda (_) t))
      (find-file \"$file\") (goto-char 1) (search-forward \"old\") (replace-match \"new\")
      (do-auto-save) (save-buffer))" >"$OUTPUT" 2>&1 </dev/null
    expect_new "$file" "emacs backup-by-copying=$by_copying file-precious-flag=$precious"
    same "$(head -n1 "$file~")" "old line" "emacs's backup"
  done
  [ -z "$(find "$MNT" -name '.#*')" ] || fail "emacs left its lock file"
fi

if command -v nano >/dev/null; then
  tried=1
  for backup in "" --backup; do
    file=$MNT/nano$backup.md
    line "$file"
    # Home, three deletes, "new", write out, exit: in a terminal, as nano wants one.
    "$PY" "$TAIN_E2E_STAGE/e2e/typing.py" $'\x1b[H' $'\x1b[3~' $'\x1b[3~' $'\x1b[3~' new $'\x0f' $'\r' $'\x18' \
      -- nano --ignorercfiles ${backup:+"$backup"} "$file"
    expect_new "$file" "nano $backup"
  done
fi

line "$MNT/sed.md"
sed -i 's/old/new/' "$MNT/sed.md"
expect_new "$MNT/sed.md" "sed -i"
line "$MNT/sed-backup.md"
sed -i.bak 's/old/new/' "$MNT/sed-backup.md"
expect_new "$MNT/sed-backup.md" "sed -i.bak"
[ $tried = 1 ] || skip "no vim, emacs or nano"

remount
for file in "$MNT"/*.md; do same "$(head -n1 "$file")" "new line" "$file after remounting"; done
ok "all of it after unmount and mount"
unmount_vault
