#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random work, with the truth of some moments kept outside: .tain/at/TIME is that truth, over kills and remounts. 2 000
# operations and 8 moments; 100 000 and 100 with TAIN_LONG=1. Others: past.py --help.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

touch "$WORK/probe"
"$PY" -c 'import os, sys; os.setxattr(sys.argv[1], "user.probe", b"1")' "$WORK/probe" 2>/dev/null ||
  skip "no extended attributes in $WORK to compare with"
size=(--operations 2000 --moments 8)
[ -z "$LONG" ] || size=(--operations 100000 --moments 100)
new_vault
mount_vault
"$PY" "$TAIN_E2E_STAGE/e2e/past.py" --tain "$TAIN" --vault "$VAULT" --mount "$MNT" --passfile "$PASSFILE" \
  --mirror "$WORK/mirror" "${size[@]}" --seed 20261128
unmount_vault
expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
ok "the vault is sound"
