#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles and runs C programs inside the mount; one of them writes through shared mappings.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
cc=$(command -v cc || command -v gcc || command -v clang || true)
[ -n "$cc" ] || skip "no C compiler"

new_vault
mount_vault

mkdir "$MNT/src"
cd "$MNT/src"
for i in $(seq 20); do echo "int f$i(void) { return $i; }" >"f$i.c"; done
{
  for i in $(seq 20); do echo "int f$i(void);"; done
  echo '#include <stdio.h>'
  echo "int main(void) { int sum = 0;"
  for i in $(seq 20); do echo "sum += f$i();"; done
  printf '%s\n' 'printf("%d\n", sum); return 0; }'
} >main.c
for file in ./*.c; do "$cc" -g -O1 -c "$file"; done
ar rcs libf.a f*.o 2>/dev/null || true
"$cc" -o program ./*.o
same "$(./program)" 210 "the compiled program says"
ok "compile, link, run"

cp "$TAIN_E2E_STAGE/e2e/mmap_writer.c" .
"$cc" -O1 -Wall -o mmap_writer mmap_writer.c
./mmap_writer write "$MNT/mapped" 8388608
./mmap_writer check "$MNT/mapped" 8388608
ok "shared mmap written by two processes, msync, read back with read()"
sum=$(cksum <"$MNT/mapped")
cd "$WORK"
remount
same "$(cksum <"$MNT/mapped")" "$sum" "mapped file after remounting"
"$MNT/src/mmap_writer" check "$MNT/mapped" 8388608
same "$("$MNT/src/program")" 210 "the program after remounting says"
ok "the same after unmount and mount"

# Dirty pages of a mapping that nobody synced must be there after an orderly unmount.
"$MNT/src/mmap_writer" nosync "$MNT/mapped2" 4194304
remount
"$MNT/src/mmap_writer" check "$MNT/mapped2" 4194304
ok "mmap without msync, then unmount"
unmount_vault
