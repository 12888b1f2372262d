// SPDX-License-Identifier: Apache-2.0
// Writes a file through shared mappings from two processes and checks it with read():
// mmap_writer write|nosync|check FILE SIZE. Word i of the file holds a value that depends on i only.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t word(uint64_t i) { return i * 0x9e3779b97f4a7c15ULL + 1; }

static void need(int condition, const char* what) {
  if (condition) return;
  perror(what);
  exit(1);
}

static void fill(const char* file, size_t size, uint64_t first, int sync) {
  int fd = open(file, O_RDWR);
  need(fd >= 0, "open");
  uint64_t* map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  need(map != MAP_FAILED, "mmap");
  close(fd);  // the mapping must outlive the descriptor
  for (uint64_t i = first; i < size / 8; i += 2) map[i] = word(i);
  if (sync) need(msync(map, size, MS_SYNC) == 0, "msync");
  need(munmap(map, size) == 0, "munmap");
}

static void check(const char* file, size_t size) {
  int fd = open(file, O_RDONLY);
  need(fd >= 0, "open");
  static uint64_t part[8192];
  uint64_t i = 0;
  for (;;) {
    ssize_t n = read(fd, part, sizeof part);
    need(n >= 0 && n % 8 == 0, "read");
    if (n == 0) break;
    for (ssize_t k = 0; k < n / 8; k++, i++) {
      if (part[k] == word(i)) continue;
      fprintf(stderr, "word %llu is wrong\n", (unsigned long long)i);
      exit(1);
    }
  }
  close(fd);
  if (i * 8 != size) {
    fprintf(stderr, "file has %llu bytes\n", (unsigned long long)(i * 8));
    exit(1);
  }
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  size_t size = strtoull(argv[3], NULL, 10);
  if (strcmp(argv[1], "check") == 0) {
    check(argv[2], size);
    return 0;
  }
  int sync = strcmp(argv[1], "write") == 0;
  int fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
  need(fd >= 0, "create");
  need(ftruncate(fd, (off_t)size) == 0, "ftruncate");
  close(fd);
  pid_t child = fork();
  need(child >= 0, "fork");
  fill(argv[2], size, child == 0 ? 0 : 1, sync);  // even words here, odd words there, on the same pages
  if (child == 0) _exit(0);
  int status = 0;
  need(waitpid(child, &status, 0) == child && status == 0, "child");
  return 0;
}
