#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Damage on a real mount: it costs what it hit, is flagged, and salvage brings back the rest.
# shellcheck disable=SC2034
ONE_USER=1
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

new_vault
mount_vault
mkdir "$MNT/folder"
for i in $(seq 40); do echo "entry $i" >"$MNT/folder/entry $i"; done
head -c 67108864 /dev/urandom >"$MNT/large"   # nearly all of the database
cp "$MNT/large" "$WORK/large"
cp -r "$MNT/folder" "$WORK/folder"
remount

# Flips a bit of the content of a block of 64 KiB that begins before page $1 of the database; again: as it was.
harm() {
  "$PY" - "$VAULT/data.mdb" "$1" <<'PY'
import sys
with open(sys.argv[1], "r+b") as file:
    # The first page of a value of 17 has these flags and that number (docs/format.md); the block's head comes next.
    for page in range(int(sys.argv[2]), 1, -1):
        file.seek(page * 4096 + 10)
        if file.read(6) == b"\x04\x00\x11\x00\x00\x00":
            break
    else:
        sys.exit("no block")
    file.seek(page * 4096 + 30000)
    byte = file.read(1)
    file.seek(-1, 1)
    file.write(bytes([byte[0] ^ 1]))
PY
}
# Flips a bit of every copy of one name in the directory with inode number $1: its key is the number, then a cookie,
# before the head of a record (docs/format.md).
harm_name() {
  "$PY" - "$VAULT/data.mdb" "$1" <<'PY'
import re, sys
with open(sys.argv[1], "r+b") as file:
    data = file.read()
    head = b"\x02\x02\x01\x00\x01\x00\x00\x00"
    inode = int(sys.argv[2]).to_bytes(8, "big")
    keys = [m.group(1) for m in re.finditer(b"(?s)(?=(" + re.escape(inode) + b".{8})" + re.escape(head) + b")", data)]
    assert keys
    for match in re.finditer(re.escape(keys[0] + head), data):
        file.seek(match.end() + 40)
        file.write(bytes([data[match.end() + 40] ^ 1]))
PY
}
# Says which pages of 4096 bytes of file $1 cannot be read, and compares all others with file $2.
compare() {
  "$PY" - "$1" "$2" <<'PY'
import errno, os, sys
bad = []
fd, good = os.open(sys.argv[1], os.O_RDONLY), open(sys.argv[2], "rb").read()
assert os.fstat(fd).st_size == len(good)
for at in range(0, len(good), 4096):
    try:
        assert os.pread(fd, 4096, at) == good[at:at + 4096], at
    except OSError as error:
        assert error.errno == errno.EIO, error
        bad.append(at)
print(*bad)
PY
}
attribute() { "$PY" -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.tain.damaged").decode())' "$1"; }

same "$("$PY" -c 'import os, sys; print(os.listxattr(sys.argv[1]))' "$MNT/large")" "[]" "attributes of a sound file"
# Some blocks are of no file any more, and nobody's damage.
pages=$(($(stat -c %s "$VAULT/data.mdb") / 4096))
for part in 2 3 4 5 6 7; do
  harm $((pages / part))
  bad=$(compare "$MNT/large" "$WORK/large")
  [ -z "$bad" ] || break
  harm $((pages / part))
  remount
done
[ "$(wc -w <<<"$bad")" = 1 ] || fail "one flipped bit made these pages unreadable: $bad"
ok "EIO for the damaged 4096 bytes only, and the rest of the file reads"
same "$(attribute "$MNT/large")" "rot $bad-$((bad + 4095))" "the attribute"
same "$("$PY" -c 'import os, sys; print(os.listxattr(sys.argv[1]))' "$MNT/large")" "['user.tain.damaged']" "the list of attributes"
if "$PY" -c 'import os, sys; os.setxattr(sys.argv[1], "user.tain.damaged", b"no")' "$MNT/large" 2>"$OUTPUT"; then
  fail "the attribute could be set"
fi
expect_exit 0 "$TAIN" status "$MNT"
output_has "damaged +1 entry, /large \\(rot $bad-"
expect_exit 0 "$TAIN" status --json "$MNT"
output_has '"path": *"/large"'
ok "status and the attribute say so"

harm_name "$(stat -c %i "$MNT/folder")"
expect_exit 3 "$TAIN" ls "$MNT" folder
grep '^entry' "$OUTPUT" | sort >"$WORK/names"
same "$(wc -l <"$WORK/names")" 39 "names in the damaged directory"
lost=$(find "$WORK/folder" -type f -printf '%f\n' | sort | comm -23 - "$WORK/names")
expect_exit 0 "$TAIN" status "$MNT"
output_has 'damaged +2 entries, first /'
same "$(attribute "$MNT/folder")" "rot names" "the directory's attribute"
ok "a damaged name leaves the others, and ls says 3"

echo more >>"$MNT/new"
known=$(head -n 1 "$WORK/names")
cmp -s "$MNT/folder/$known" "$WORK/folder/$known" || fail "an intact file does not read"
ok "the rest of the vault works"
unmount_vault

expect_exit 26 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
output_has "large"
expect_exit 3 "$TAIN" salvage --passfile "$PASSFILE" "$VAULT" "$WORK/salvaged"
VAULT=$WORK/salvaged
mount_vault
same "$(attribute "$MNT/large")" "$bad-$((bad + 4095))" "the attribute that salvage wrote"
"$PY" - "$MNT/large" "$WORK/large" "$bad" <<'PY'
import sys
found, good, at = open(sys.argv[1], "rb").read(), bytearray(open(sys.argv[2], "rb").read()), int(sys.argv[3])
good[at:at + 4096] = bytes(4096)
assert found == good
PY
same "$(cat "$MNT/new")" more
rm "$MNT/new"
cmp "$MNT"/lost+found/* "$WORK/folder/$lost"
mv "$MNT"/lost+found/* "$MNT/folder/$lost"
diff -r "$MNT/folder" "$WORK/folder"
unmount_vault
expect_exit 0 "$TAIN" check --passfile "$PASSFILE" "$VAULT"
ok "check names it, and salvage brings back everything else"
