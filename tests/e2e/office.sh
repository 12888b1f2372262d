#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# LibreOffice's way to save, where it is installed (libreoffice-writer-nogui and python3-uno): 20 saves are 20 versions.
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

command -v soffice >/dev/null || skip "no LibreOffice"
"$PY" -c 'import uno' 2>/dev/null || skip "no python3-uno"

new_vault
mount_vault
saves=20
printf 'state 0\n' >"$MNT/notes.txt"
mkdir -p "$WORK/profile"
HOME=$WORK "$PY" "$TAIN_E2E_STAGE/e2e/office.py" "tain-$$" "$WORK/profile" $saves "$MNT/notes.txt" "$MNT/letter.odt"

text_of() { # a document's text
  if [ "${1##*.}" = txt ]; then tr -d '\n' <"$1" | sed 's/^\xef\xbb\xbf//'; else
    "$PY" -c 'import re, sys, zipfile
print(*re.findall(r">(state \d+)<", zipfile.ZipFile(sys.argv[1]).read("content.xml").decode()))' "$1" | tr -d '\n'
  fi
}
for round in mounted remounted; do
  for file in notes.txt letter.odt; do
    same "$(text_of "$MNT/$file")" "state $saves" "$file: the present"
    same "$("$TAIN" log --json "$MNT/$file" | "$PY" -c 'import json, sys; print(len(json.load(sys.stdin)["versions"]))')" \
      $((saves + 1)) "$file: versions, $round"
    number=0
    for state in "$MNT/.tain/history/$file"/*; do
      cp "$state" "$WORK/state.${file##*.}"
      same "$(text_of "$WORK/state.${file##*.}")" "state $number" "$file: .tain/history, $round"
      number=$((number + 1))
    done
    same $number $((saves + 1)) "$file: states, $round"
  done
  if [ "$round" = mounted ]; then remount; fi
done
same "$(find "$MNT" -mindepth 1 -printf '%P\n' | sort | tr '\n' ' ')" "letter.odt notes.txt " "what LibreOffice leaves"
for file in notes.txt letter.odt; do
  expect_exit 0 "$TAIN" restore "$MNT/$file@1"
  same "$(text_of "$MNT/$file")" "state 0" "$file: the first version"
done
ok "$saves saves of a text and of a document are as many versions"
