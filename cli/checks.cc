// SPDX-License-Identifier: Apache-2.0
#include "cli/checks.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "cli/placement.h"
#include "fs/mountpoint.h"
#include "store/cipher.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

constexpr rlim_t kLockLimitMin = rlim_t{1} << 20;  // bytes; a vault's keys need a good part of it

std::string first_line(const std::string& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

std::string whole_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

Check fuse_device() {
  auto device = check_fuse_device();
  if (device.ok()) return {Level::ok, "/dev/fuse", "can be opened", ""};
  return {Level::fail, "/dev/fuse", device.error().message(), device.error().hint()};
}

Check fusermount(const World& world) {
  std::istringstream path(world.env("PATH"));
  for (std::string directory; std::getline(path, directory, ':');) {
    const std::string program = directory + "/fusermount3";
    if (::access(program.c_str(), X_OK) == 0) return {Level::ok, "fusermount3", program, ""};
  }
  if (world.uid == 0) return {Level::ok, "fusermount3", "not found, and not needed by root", ""};
  return {Level::fail, "fusermount3", "not found", "install the package fuse3"};
}

Check kernel() {
  utsname name{};
  ::uname(&name);
  int major = 0, minor = 0;
  std::sscanf(name.release, "%d.%d", &major, &minor);
  // openat2 is of 5.6, pidfd_open of 5.3.
  if (major > 5 || (major == 5 && minor >= 6)) return {Level::ok, "kernel", name.release, ""};
  return {Level::fail, "kernel", std::string(name.release) + " is too old", "use Linux 5.6 or later"};
}

Check aes() {
  if (store::suite_available(store::Suite::aes_256_gcm)) return {Level::ok, "AES instructions", "present", ""};
  return {Level::warn, "AES instructions", "missing: vaults with aes-256-gcm cannot be read here",
          "vaults made here use xchacha20-poly1305"};
}

Check memory_lock() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) return {Level::ok, "memory lock limit", "none", ""};
  const std::string size = format_bytes(limit.rlim_cur);
  if (limit.rlim_cur >= kLockLimitMin) return {Level::ok, "memory lock limit", size, ""};
  return {Level::warn, "memory lock limit", size + ": keys may be swapped to disk", "raise it to 1 MiB or more (ulimit -l, LimitMEMLOCK=)"};
}

Check core_dumps() {
  return {Level::ok, "core dumps", "go to " + first_line("/proc/sys/kernel/core_pattern") + ", but tain leaves none", ""};
}

Check swap() {
  const auto name = clear_swap(whole_text("/proc/swaps"), [](const std::string& device) {
    return first_line("/sys/block/" + device + "/dm/uuid");
  });
  if (!name) return {Level::ok, "swap", "none, or encrypted, or in memory", ""};
  return {Level::warn, "swap", *name + " does not look encrypted: programs that read your files may leave them there",
          "encrypt the swap, or turn it off"};
}

Check immutable(const World& world, const std::string& directory) {
  if (world.uid != 0) return {Level::ok, "mountpoint protection", "by permissions", ""};
  if (fs::has_immutable_attribute(directory)) return {Level::ok, "mountpoint protection", "by the immutable attribute, as in " + directory, ""};
  return {Level::warn, "mountpoint protection", "the file system of " + directory + " has no immutable attribute: root can write into a bare mountpoint",
          "mount as an ordinary user, or on another file system"};
}


}  // namespace

Result<> check_fuse_device() {
  const UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (device.valid()) return {};
  if (errno == ENOENT || errno == ENODEV || errno == ENXIO) {
    return Error(Code::fuse, "the kernel offers no FUSE: /dev/fuse is missing").hint("modprobe fuse (as root), or give the container the device");
  }
  return Error(Code::fuse, "cannot open /dev/fuse: " + errno_error(errno, "open").message())
      .hint("as root: chmod 666 /dev/fuse, the mode it has on most systems");
}

std::optional<std::string> clear_swap(const std::string& swaps, const std::function<std::string(const std::string&)>& dm_uuid) {
  std::istringstream lines(swaps);
  std::string line;
  std::getline(lines, line);  // the heading
  while (std::getline(lines, line)) {
    const std::string name = line.substr(0, line.find_first_of(" \t"));
    const std::string device = name.substr(name.rfind('/') + 1);
    if (name.empty() || device.starts_with("zram")) continue;
    if (device.starts_with("dm-") && dm_uuid(device).starts_with("CRYPT-")) continue;
    return name;
  }
  return std::nullopt;
}

std::vector<Check> check_machine(const World& world) {
  const std::string home = world.env("HOME");
  return {fuse_device(), fusermount(world), kernel(), aes(), memory_lock(), core_dumps(), swap(), immutable(world, home.empty() ? "/" : home)};
}

std::vector<Check> check_vault(const Target& target, bool& damaged) {
  std::vector<Check> checks;
  const std::string& path = target.vault_directory;
  auto info = store::Vault::inspect(path);
  if (!info.ok()) {
    damaged = info.is(Code::header_damaged);
    checks.push_back({Level::fail, "header", info.error().message(), info.error().hint()});
    return checks;
  }
  damaged = info->copy_used;
  checks.push_back(damaged ? Check{Level::fail, "header", "one of its two copies is damaged", "the next mount repairs it"}
                           : Check{Level::ok, "header", "both copies are intact", ""});
  if (!store::suite_available(info->suite)) {
    checks.push_back({Level::fail, "cipher", "this processor cannot run " + std::string(store::suite_name(info->suite)), "open the vault on another machine"});
  }
  const std::string client = sync_client_of(path);
  const std::string type = remote_file_system_of(path);
  if (!client.empty()) checks.push_back({Level::warn, "place", path + " lies in a folder of " + client, "move the vault out of it"});
  if (!type.empty()) checks.push_back({Level::warn, "place", path + " lies on a " + type + " file system", "keep the vault on a local disk"});
  if (client.empty() && type.empty()) checks.push_back({Level::ok, "place", path + " is on a local file system", ""});
  if (target.mount && fs::is_stale(*target.mount)) {
    checks.push_back({Level::fail, "mount", target.mount->mountpoint + " is dead: its process has ended", "tain unmount " + target.mount->mountpoint});
  }
  return checks;
}

}  // namespace tain::cli
