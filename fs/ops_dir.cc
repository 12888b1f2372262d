// SPDX-License-Identifier: Apache-2.0
// Requests about names: lookup, making, removing and renaming entries, and listings.
#include "fs/ops.h"

#include <algorithm>

namespace tain::fs {

namespace {

constexpr size_t kListingMax = 1 << 20;  // bytes in one reply, whatever the kernel asks for

void op_lookup(fuse_req_t request, fuse_ino_t directory, const char* name) {
  serve(request, Op::lookup, [&](Filesystem& fs, Reply& reply) -> Result<> {
    Result<store::Attr> found = fs.lookup(to_ino(directory), name);
    if (found.is(Code::not_found) && !is_virtual(to_ino(directory))) {  // there it may come to be by itself
      reply.no_entry();
    } else {
      reply.entry(TRY(std::move(found)));
    }
    return {};
  });
}

void op_mknod(fuse_req_t request, fuse_ino_t directory, const char* name, mode_t mode, dev_t device) {
  serve(request, Op::mknod, [&](Filesystem& fs, Reply& reply) -> Result<> {
    reply.entry(TRY(fs.make(to_ino(directory), name, mode, caller_of(request), device)));
    return {};
  });
}

void op_mkdir(fuse_req_t request, fuse_ino_t directory, const char* name, mode_t mode) {
  serve(request, Op::mkdir, [&](Filesystem& fs, Reply& reply) -> Result<> {
    reply.entry(TRY(fs.make(to_ino(directory), name, S_IFDIR | (mode & 07777), caller_of(request))));
    return {};
  });
}

void op_symlink(fuse_req_t request, const char* target, fuse_ino_t directory, const char* name) {
  serve(request, Op::symlink, [&](Filesystem& fs, Reply& reply) -> Result<> {
    reply.entry(TRY(fs.symlink(target, to_ino(directory), name, caller_of(request))));
    return {};
  });
}

void op_link(fuse_req_t request, fuse_ino_t ino, fuse_ino_t directory, const char* name) {
  serve(request, Op::link, [&](Filesystem& fs, Reply& reply) -> Result<> {
    reply.entry(TRY(fs.link(to_ino(ino), to_ino(directory), name)));
    return {};
  });
}

void op_unlink(fuse_req_t request, fuse_ino_t directory, const char* name) {
  serve(request, Op::unlink, [&](Filesystem& fs, Reply& reply) -> Result<> {
    TRY(fs.unlink(to_ino(directory), name));
    reply.done();
    return {};
  });
}

void op_rmdir(fuse_req_t request, fuse_ino_t directory, const char* name) {
  serve(request, Op::rmdir, [&](Filesystem& fs, Reply& reply) -> Result<> {
    TRY(fs.rmdir(to_ino(directory), name));
    reply.done();
    return {};
  });
}

void op_rename(fuse_req_t request, fuse_ino_t from_directory, const char* from, fuse_ino_t to_directory, const char* to,
               unsigned flags) {
  serve(request, Op::rename, [&](Filesystem& fs, Reply& reply) -> Result<> {
    TRY(fs.rename(to_ino(from_directory), from, to_ino(to_directory), to, flags, caller_of(request)));
    reply.done();
    return {};
  });
}

void op_opendir(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  serve(request, Op::opendir, [&](Filesystem&, Reply& reply) -> Result<> {
    if (context_of(request).no_opendir) {
      reply.fail(ENOSYS);  // success, and never asked again; the kernel then caches listings
    } else {
      file->keep_cache = 1;
      file->cache_readdir = 1;
      reply.opened(*file);
    }
    return {};
  });
}

/// A page of a listing in the kernel's encoding, in memory that a thread keeps.
class Page {
 public:
  Page(fuse_req_t request, size_t size) : request_(request) {
    buffer().resize(std::min(size, kListingMax));
    looked_up().clear();
  }

  /// False when `item` does not fit.
  bool add(const DirectoryItem& item) {
    struct stat stats {};
    stats.st_ino = raw(item.ino);
    stats.st_mode = static_cast<mode_t>(item.type) << 12;
    return took(fuse_add_direntry(request_, room(), room_size(), name(item), &stats, static_cast<off_t>(item.offset)));
  }

  /// The same, with the attributes, which count as a lookup of the inode.
  bool add_plus(const DirectoryItem& item, Filesystem& fs) {
    // Ask for the size first: an item that does not fit must not be counted.
    if (fuse_add_direntry_plus(request_, nullptr, 0, name(item), nullptr, 0) > room_size()) return false;
    fuse_entry_param param{};
    // The kernel neither needs nor counts these two.
    const bool is_dot = item.offset < raw(kFirstCookie);
    if (!is_dot) {
      looked_up().push_back(item.ino);  // first, so that no count is lost when memory is short
      // A damaged or just removed inode still has its name listed: without a node id the kernel asks again.
      if (Result<store::Attr> attr = fs.acquire(item.ino); attr.ok()) {
        param = to_entry(*attr);
      } else {
        looked_up().pop_back();
      }
    }
    param.attr.st_ino = raw(item.ino);
    if (param.ino == 0) param.attr.st_mode = static_cast<mode_t>(item.type) << 12;
    return took(
        fuse_add_direntry_plus(request_, room(), room_size(), name(item), &param, static_cast<off_t>(item.offset)));
  }

  ByteView bytes() const { return as_bytes({buffer().data(), used_}); }
  static std::vector<Ino>& looked_up() {
    static thread_local std::vector<Ino> inos;
    return inos;
  }

 private:
  static constexpr Cookie kFirstCookie{16};

  static std::vector<char>& buffer() {
    static thread_local std::vector<char> memory;
    return memory;
  }
  /// NUL-terminated, as fuse_add_direntry wants it.
  const char* name(const DirectoryItem& item) {
    name_.assign(item.name);
    return name_.c_str();
  }
  char* room() { return buffer().data() + used_; }
  size_t room_size() const { return buffer().size() - used_; }
  bool took(size_t size) {
    if (size > room_size()) return false;
    used_ += size;
    return true;
  }

  fuse_req_t request_;
  size_t used_ = 0;
  std::string name_;
};

template <class Add>
void list(fuse_req_t request, Op op, fuse_ino_t directory, size_t size, off_t offset, Add add) {
  serve(request, op, [&](Filesystem& fs, Reply& reply) -> Result<> {
    Page page(request, size);
    const Result<> listed = fs.list(to_ino(directory), static_cast<uint64_t>(offset),
                                    [&](const DirectoryItem& item) { return add(page, item, fs); });
    // An error after the first item waits for the next call: the kernel has no way to take both.
    if (!listed.ok() && page.bytes().empty()) return listed;
    reply.listing(page.bytes(), Page::looked_up());
    return {};
  });
}

void op_readdir(fuse_req_t request, fuse_ino_t directory, size_t size, off_t offset, fuse_file_info*) {
  list(request, Op::readdir, directory, size, offset,
       [](Page& page, const DirectoryItem& item, Filesystem&) { return page.add(item); });
}

void op_readdirplus(fuse_req_t request, fuse_ino_t directory, size_t size, off_t offset, fuse_file_info*) {
  list(request, Op::readdirplus, directory, size, offset,
       [](Page& page, const DirectoryItem& item, Filesystem& fs) { return page.add_plus(item, fs); });
}

void op_fsyncdir(fuse_req_t request, fuse_ino_t directory, int, fuse_file_info*) {
  serve(request, Op::fsyncdir, [&](Filesystem& fs, Reply& reply) -> Result<> {
    TRY(fs.sync(to_ino(directory)));
    reply.done();
    return {};
  });
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& ops) {
  ops.lookup = op_lookup;
  ops.mknod = op_mknod;
  ops.mkdir = op_mkdir;
  ops.symlink = op_symlink;
  ops.link = op_link;
  ops.unlink = op_unlink;
  ops.rmdir = op_rmdir;
  ops.rename = op_rename;
  ops.opendir = op_opendir;
  ops.readdir = op_readdir;
  ops.readdirplus = op_readdirplus;
  ops.fsyncdir = op_fsyncdir;
}

}  // namespace tain::fs
