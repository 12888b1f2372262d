// SPDX-License-Identifier: Apache-2.0
// Preloaded, it makes libfido2 take the Unix sockets of tests/e2e/fido2_token.py for hidraw devices, and for the only ones
// of the machine. TAIN_TEST_FIDO2_TOKENS names them, with colons between. Reports are packets of the socket, so reading,
// writing and waiting need no help.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hidraw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// The least that says: usage page of the FIDO Alliance, 0xf1d0, usage 1; reports of 64 bytes either way.
static const unsigned char kDescriptor[] = {0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26,
                                            0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x81, 0x02, 0x09, 0x21, 0x15, 0x00,
                                            0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xc0};

// The tokens are entries of a list that ends with a null pointer; udev's objects are pointers to such entries, or the path.
#define TOKENS_MAX 8
static char* tokens[TOKENS_MAX + 1];

static char** all_tokens(void) {
  if (tokens[0] == NULL) {
    const char* names = getenv("TAIN_TEST_FIDO2_TOKENS");
    char* copy = names != NULL ? strdup(names) : NULL;
    size_t count = 0;
    for (char* name = copy != NULL ? strtok(copy, ":") : NULL; name != NULL && count < TOKENS_MAX; name = strtok(NULL, ":"))
      tokens[count++] = name;
  }
  return tokens;
}

static int is_token(const char* path) {
  for (char** token = all_tokens(); *token != NULL; ++token)
    if (strcmp(*token, path) == 0) return 1;
  return 0;
}

static int is_token_fd(int fd) {
  struct sockaddr_un peer;
  socklen_t size = sizeof peer;
  memset(&peer, 0, sizeof peer);
  return getpeername(fd, (struct sockaddr*)&peer, &size) == 0 && peer.sun_family == AF_UNIX;
}

int open(const char* path, int flags, ...) {
  if (!is_token(path)) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    int (*next)(const char*, int, ...) = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open");
    return next(path, flags, mode);
  }
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr*)&address, sizeof address) != 0) {
    close(fd);
    errno = ENOENT;
    return -1;
  }
  return fd;
}

int fstat(int fd, struct stat* st) {
  int (*next)(int, struct stat*) = (int (*)(int, struct stat*))dlsym(RTLD_NEXT, "fstat");
  const int result = next(fd, st);
  if (result == 0 && S_ISSOCK(st->st_mode) && is_token_fd(fd)) st->st_mode = S_IFCHR | 0600;
  return result;
}

int ioctl(int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void* argument = va_arg(rest, void*);
  va_end(rest);
  // libfido2 passes what the macros yield through an int on some platforms.
  if ((unsigned)request == (unsigned)HIDIOCGRDESCSIZE && is_token_fd(fd)) {
    *(int*)argument = sizeof kDescriptor;
    return 0;
  }
  if ((unsigned)request == (unsigned)HIDIOCGRDESC && is_token_fd(fd)) {
    memcpy(((struct hidraw_report_descriptor*)argument)->value, kDescriptor, sizeof kDescriptor);
    return 0;
  }
  if ((unsigned)request == (unsigned)HIDIOCGRAWINFO && is_token_fd(fd)) {
    memset(argument, 0, sizeof(struct hidraw_devinfo));
    return 0;
  }
  int (*next)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
  return next(fd, request, argument);
}

// What libfido2 asks of libudev. Whatever it hands around is never null and never looked into.
void* udev_new(void) { return tokens; }
void* udev_unref(void* udev) { return udev; }
void* udev_enumerate_new(void* udev) { return udev; }
void* udev_enumerate_unref(void* list) { return list; }
static int wants_hidraw;  // not nfc
int udev_enumerate_add_match_subsystem(void* list, const char* subsystem) {
  (void)list;
  wants_hidraw = strcmp(subsystem, "hidraw") == 0;
  return 0;
}
int udev_enumerate_scan_devices(void* list) { return (void)list, 0; }
void* udev_enumerate_get_list_entry(void* list) {
  (void)list;
  return wants_hidraw && *all_tokens() != NULL ? all_tokens() : NULL;
}
const char* udev_list_entry_get_name(void* entry) { return *(char**)entry; }
void* udev_list_entry_get_next(void* entry) { return ((char**)entry)[1] != NULL ? (char**)entry + 1 : NULL; }
void* udev_device_new_from_syspath(void* udev, const char* path) { return (void)udev, (void*)path; }
void* udev_device_unref(void* device) { return (void)device, NULL; }
const char* udev_device_get_devnode(void* device) { return device; }
const char* udev_device_get_sysnum(void* device) { return (void)device, "0"; }
void* udev_device_get_parent_with_subsystem_devtype(void* device, const char* subsystem, const char* type) {
  return (void)subsystem, (void)type, device;
}
const char* udev_device_get_sysattr_value(void* device, const char* name) {
  (void)device;
  return strcmp(name, "uevent") == 0 ? "HID_ID=0003:00001209:00000001" : "tain test token";
}
