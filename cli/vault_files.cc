// SPDX-License-Identifier: Apache-2.0
#include "cli/vault_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include "base/file.h"
#include "cli/credential.h"
#include "store/content.h"
#include "store/time_lock.h"
#include "store/tree.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

constexpr size_t kPieceSize = 256 * 1024;  // bytes
constexpr int kLinksMax = 40;              // as the kernel's

std::string shown_name(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.ends_with('/')) trimmed.pop_back();
  return trimmed.substr(trimmed.rfind('/') + 1);
}

Error leads_out(const std::string& path) { return Error(Code::not_permitted, path + " leads out of the vault"); }

/// The file type of a mode, of a DT_ constant.
constexpr uint32_t mode_of(uint8_t type) { return static_cast<uint32_t>(DTTOIF(type)); }

FileInfo damaged(const std::string& name, uint32_t type) {
  FileInfo out;
  out.name = name;
  out.mode = type;
  out.is_damaged = true;
  return out;
}

/// Plaintext in passing: wiped when it goes.
class Piece {
 public:
  Piece() : bytes_(kPieceSize) {}
  ~Piece() { wipe(bytes_); }
  Piece(const Piece&) = delete;
  Piece& operator=(const Piece&) = delete;
  ByteSpan span() { return bytes_; }

 private:
  Bytes bytes_;
};

class MountedFiles final : public VaultFiles {
 public:
  MountedFiles(UniqueFd root, std::string mountpoint) : root_(std::move(root)), mountpoint_(std::move(mountpoint)) {}

  Result<Listing> list(const std::string& path) override {
    UniqueFd fd = TRY(open_beneath(path, O_PATH));
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return errno_error(errno, path);
    Listing out;
    if (!S_ISDIR(st.st_mode)) {
      out.files.push_back(describe(shown_name(path), st));
      return out;
    }
    UniqueFd readable = TRY(open_beneath(path, O_RDONLY | O_DIRECTORY));
    DIR* directory = ::fdopendir(readable.get());
    if (directory == nullptr) return errno_error(errno, path);
    readable.release();
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(directory);
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (::fstatat(::dirfd(directory), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == EIO) out.files.push_back(damaged(name, mode_of(entry->d_type)));
        continue;  // removed meanwhile
      }
      out.files.push_back(describe(name, st));
      if (S_ISLNK(st.st_mode)) out.files.back().symlink = read_link(::dirfd(directory), name);
    }
    const int error = errno;
    ::closedir(directory);
    if (error != 0 && error != EIO) return errno_error(error, path);
    out.is_complete = error == 0;
    return out;
  }

  Result<> read(const std::string& path, const Sink& sink) override {
    UniqueFd fd = TRY(open_beneath(path, O_RDONLY | O_NONBLOCK));  // a FIFO must not block
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return errno_error(errno, path);
    if (!S_ISREG(st.st_mode)) return Error(Code::invalid_argument, path + " is not a regular file");
    Piece piece;
    for (;;) {
      const ssize_t n = ::read(fd.get(), piece.span().data(), piece.span().size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EACCES) return refused(fd.get(), path);
      if (n < 0) return errno_error(errno, "read " + path);
      if (n == 0) return {};
      TRY(sink(piece.span().first(static_cast<size_t>(n))));
    }
  }

 private:
  /// Who may open a file may read it, but for a time lock.
  static Error refused(int fd, const std::string& path) {
    char until[64];
    const ssize_t size = ::fgetxattr(fd, std::string(store::kUnlockXattr).c_str(), until, sizeof until);
    if (size <= 0) return errno_error(EACCES, "read " + path);
    return Error(Code::time_locked, "read " + path + ": time-locked until " + std::string(until, static_cast<size_t>(size)));
  }

  Result<UniqueFd> open_beneath(const std::string& path, int flags) {
    open_how how{};
    how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    const char* name = path.empty() ? "." : path.c_str();
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root_.get(), name, &how, sizeof how)));
    if (fd.valid()) return fd;
    return errno == EXDEV ? leads_out(path) : errno_error(errno, path.empty() ? mountpoint_ : path);
  }

  static std::string read_link(int directory, const std::string& name) {
    std::string target(store::kSymlinkMax + 1, '\0');
    const ssize_t size = ::readlinkat(directory, name.c_str(), target.data(), target.size());
    target.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return target;
  }

  static FileInfo describe(const std::string& name, const struct stat& st) {
    return {name, st.st_mode, st.st_nlink, st.st_uid, st.st_gid, static_cast<uint64_t>(st.st_size), st.st_mtim.tv_sec, {}, false};
  }

  UniqueFd root_;
  std::string mountpoint_;
};

class ClosedFiles final : public VaultFiles {
 public:
  explicit ClosedFiles(store::Vault& vault) : vault_(&vault) {}
  explicit ClosedFiles(std::unique_ptr<store::Vault> vault) : owned_(std::move(vault)), vault_(owned_.get()) {}

  Result<Listing> list(const std::string& path) override {
    const store::Attr attr = TRY(walk(path));
    Listing out;
    if (!S_ISDIR(attr.mode)) {
      out.files.push_back(describe(shown_name(path), attr));
      return out;
    }
    struct Entry {
      std::string name;
      Ino ino{};
      uint8_t type = 0;
    };
    std::vector<Entry> entries;
    auto listed = vault_->tree().list(attr.ino, Cookie{0}, [&](const store::ListItem& item) {
      entries.push_back({std::string(item.name), item.ino, item.type});
      return true;
    });
    out.is_complete = listed.ok();
    if (!listed.ok() && !listed.is(Code::corrupt)) return std::move(listed).error();
    for (const auto& [name, ino, type] : entries) {
      auto entry = vault_->tree().getattr(ino);
      if (entry.is(Code::corrupt) || entry.is(Code::not_found)) {
        out.files.push_back(damaged(name, mode_of(type)));
        continue;
      }
      out.files.push_back(describe(name, TRY(std::move(entry))));
      if (S_ISLNK(out.files.back().mode)) out.files.back().symlink = TRY(vault_->tree().readlink(ino));
    }
    return out;
  }

  Result<> read(const std::string& path, const Sink& sink) override {
    const store::Attr attr = TRY(walk(path));
    if (S_ISDIR(attr.mode)) return Error(Code::is_directory, path + " is a directory");
    if (!S_ISREG(attr.mode)) return Error(Code::invalid_argument, path + " is not a regular file");
    Piece piece;
    for (uint64_t offset = 0;;) {
      auto size = vault_->content().read(attr.ino, offset, piece.span());
      if (!size.ok()) return std::move(size).error().with("read " + path);
      if (*size == 0) return {};
      TRY(sink(piece.span().first(*size)));
      offset += *size;
    }
  }

 private:
  static std::deque<std::string> components(const std::string& path) {
    std::deque<std::string> out;
    for (size_t start = 0; start <= path.size();) {
      const size_t slash = std::min(path.find('/', start), path.size());
      if (slash > start) out.push_back(path.substr(start, slash - start));
      start = slash + 1;
    }
    return out;
  }

  Result<store::Attr> walk(const std::string& path) {
    store::Tree& tree = vault_->tree();
    std::deque<std::string> rest = components(path);
    Ino at = kRootIno;
    for (int links = 0; !rest.empty();) {
      const std::string name = std::move(rest.front());
      rest.pop_front();
      if (name == ".") continue;
      if (name == "..") {
        if (at == kRootIno) return leads_out(path);
        at = TRY(tree.parent(at));
        continue;
      }
      auto attr = tree.lookup(at, name);
      if (!attr.ok()) return std::move(attr).error().with(path);
      if (!S_ISLNK(attr->mode)) {
        at = attr->ino;
        continue;
      }
      const std::string target = TRY(tree.readlink(attr->ino));
      if (target.starts_with('/')) return leads_out(path);
      if (++links > kLinksMax) return Error(Code::invalid_argument, path + ": too many symbolic links");
      const std::deque<std::string> more = components(target);
      rest.insert(rest.begin(), more.begin(), more.end());
    }
    return tree.getattr(at);
  }

  static FileInfo describe(const std::string& name, const store::Attr& attr) {
    return {name, attr.mode, attr.nlink, attr.uid, attr.gid, attr.size, attr.mtime.seconds, {}, false};
  }

  std::unique_ptr<store::Vault> owned_;  // if nobody else has it
  store::Vault* vault_;
};

}  // namespace

std::unique_ptr<VaultFiles> VaultFiles::inside(store::Vault& vault) { return std::make_unique<ClosedFiles>(vault); }

Result<std::unique_ptr<VaultFiles>> VaultFiles::open(World& world, const Arguments& arguments, const Target& target) {
  if (target.mount) {
    UniqueFd root(::open(target.mount->mountpoint.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return errno_error(errno, "open " + target.mount->mountpoint);
    return std::unique_ptr<VaultFiles>(std::make_unique<MountedFiles>(std::move(root), target.mount->mountpoint));
  }
  TRY(store::Vault::inspect(target.vault_directory));  // before anybody types a password
  const store::Credential credential = TRY(read_credential(world, arguments, target.vault_directory));
  store::OpenOptions options;
  options.read_only = true;
  options.warn = [&world](const std::string& message) { warn(world, message); };
  auto vault = TRY(store::Vault::open(target.vault_directory, options, credential));
  return std::unique_ptr<VaultFiles>(std::make_unique<ClosedFiles>(std::move(vault)));
}

}  // namespace tain::cli
