#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A vault whose owner has another number on this machine, mounted by an ordinary user and by root.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || skip "only root can make files of two users"
id nobody >/dev/null 2>&1 || skip "there is no user nobody"
need setpriv
them=$(id -u nobody):$(id -g nobody)
as_nobody() { env HOME="$WORK/home" XDG_RUNTIME_DIR="$WORK/run" setpriv --reuid "${them%:*}" --regid "${them#*:}" --clear-groups "$@"; }
owner_of() { stat -c %u:%g "$MNT/$1"; }

# As if it came from a machine where its owner is 4711:4712.
new_vault
mount_vault --allow-other
chown 4711:4712 "$MNT"
chmod 755 "$MNT"
echo mine >"$MNT/mine"
chown 4711:4712 "$MNT/mine"
echo theirs >"$MNT/theirs"
chown "$them" "$MNT/theirs"
echo other >"$MNT/other"
chown 7:8 "$MNT/other"
chmod 600 "$MNT"/*
unmount_vault
ok "a vault of another user"

theirs=$WORK/folder  # the mountpoint above is closed
mkdir "$theirs"
chmod 755 "$WORK"
chown -R "$them" "$VAULT" "$theirs" "$PASSFILE" "$WORK/home" "$WORK/run"
expect_exit 0 as_nobody "$TAIN" mount --passfile "$PASSFILE" "$VAULT" "$theirs"
same "$(as_nobody stat -c %u:%g "$theirs" "$theirs/mine" "$theirs/theirs" "$theirs/other" | tr '\n' ' ')" "$them $them 4711:4712 7:8 " "owners in the mount"
same "$(as_nobody cat "$theirs/mine")" mine
expect_exit 1 as_nobody cat "$theirs/theirs"
output_has "Permission denied"
as_nobody sh -c "cd '$theirs' && echo new >new && mkdir -p folder/below && ln -s x link && echo more >>mine && chmod 640 mine"
same "$(as_nobody stat -c %u:%g "$theirs/new" "$theirs/folder/below" "$theirs/link" | sort -u)" "$them" "owners of what the user makes"
expect_exit 0 as_nobody "$TAIN" unmount "$theirs"
ok "the user that mounts has the owner's files"

chown -R 0:0 "$VAULT" "$PASSFILE"
mount_vault
for name in . mine new folder folder/below link; do same "$(owner_of "$name")" 4711:4712 "owner of $name as kept"; done
same "$(owner_of theirs) $(owner_of other)" "$them 7:8" "owners of the others as kept"
same "$(stat -c %a "$MNT/mine")" 640
same "$(cat "$MNT/mine")" $'mine\nmore'
unmount_vault
ok "root sees what is kept"
