// SPDX-License-Identifier: Apache-2.0
// Requests about the content of files: open, create, read, write, fsync, holes and copies.
#include "fs/ops.h"

#include <fcntl.h>

#include <algorithm>

namespace tain::fs {

namespace {

constexpr size_t kReadMax = 1 << 20;  // bytes in one reply, whatever the kernel asks for

Result<uint64_t> to_offset(off_t offset) {
  if (offset < 0) return Error(Code::invalid_argument, "negative offset");
  return static_cast<uint64_t>(offset);
}

void op_open(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  serve(request, Op::open, [&](Filesystem&, Reply& reply) -> Result<> {
    if (context_of(request).no_open) {
      reply.fail(ENOSYS);  // success, and never asked again
    } else {
      file->keep_cache = 1;
      reply.opened(*file);
    }
    return {};
  });
}

void op_tmpfile(fuse_req_t request, fuse_ino_t directory, mode_t mode, fuse_file_info* file) {
  serve(request, Op::tmpfile, [&](Filesystem& fs, Reply& reply) -> Result<> {
    const store::Attr attr = TRY(fs.make_unnamed(to_ino(directory), mode, caller_of(request)));
    file->keep_cache = 1;
    reply.created(attr, *file);
    return {};
  });
}

void op_create(fuse_req_t request, fuse_ino_t directory, const char* name, mode_t mode, fuse_file_info* file) {
  if (std::string_view(name) == kTmpfileName) {
    op_tmpfile(request, directory, mode, file);
    return;
  }
  serve(request, Op::create, [&](Filesystem& fs, Reply& reply) -> Result<> {
    if (context_of(request).no_open) {
      // The kernel uses MKNOD from now on and opens by itself, as for any file. That saves the RELEASE which
      // kernels since 6.10 send for each created file.
      reply.fail(ENOSYS);
      return {};
    }
    const store::Attr attr = TRY(fs.make(to_ino(directory), name, S_IFREG | (mode & 07777), caller_of(request)));
    file->keep_cache = 1;
    reply.created(attr, *file);
    return {};
  });
}

void op_read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* file) {
  serve(request, Op::read, [&](Filesystem& fs, Reply& reply) -> Result<> {
    static thread_local Bytes buffer;
    size = std::min(size, kReadMax);
    if (buffer.size() < size) buffer.resize(size);
    const uint64_t start = TRY(to_offset(offset));
    const bool keep_atime = file != nullptr && (file->flags & O_NOATIME) != 0;
    const size_t count = TRY(fs.read(to_ino(ino), start, ByteSpan(buffer).first(size), keep_atime));
    reply.bytes(ByteView(buffer).first(count));
    return {};
  });
}

void op_write(fuse_req_t request, fuse_ino_t ino, const char* data, size_t size, off_t offset, fuse_file_info* file) {
  serve(request, Op::write, [&](Filesystem& fs, Reply& reply) -> Result<> {
    const uint64_t start = TRY(to_offset(offset));
    const bool is_page = file != nullptr && file->writepage != 0;
    TRY(fs.write(to_ino(ino), start, as_bytes({data, size}), caller_of(request),
                 is_page ? store::WriteSource::page_cache : store::WriteSource::program));
    reply.written(size);
    return {};
  });
}

void op_fsync(fuse_req_t request, fuse_ino_t ino, int, fuse_file_info*) {
  serve(request, Op::fsync, [&](Filesystem& fs, Reply& reply) -> Result<> {
    TRY(fs.sync(to_ino(ino)));
    reply.done();
    return {};
  });
}

void op_fallocate(fuse_req_t request, fuse_ino_t ino, int mode, off_t offset, off_t length, fuse_file_info*) {
  serve(request, Op::fallocate, [&](Filesystem& fs, Reply& reply) -> Result<> {
    const uint64_t start = TRY(to_offset(offset));
    const uint64_t size = TRY(to_offset(length));
    TRY(fs.allocate(to_ino(ino), mode, start, size, caller_of(request)));
    reply.done();
    return {};
  });
}

void op_copy_file_range(fuse_req_t request, fuse_ino_t from, off_t from_start, fuse_file_info*, fuse_ino_t to,
                        off_t to_start, fuse_file_info*, size_t length, int flags) {
  serve(request, Op::copy_file_range, [&](Filesystem& fs, Reply& reply) -> Result<> {
    if (flags != 0) return Error(Code::invalid_argument, "unknown copy flag");
    const uint64_t source = TRY(to_offset(from_start));
    const uint64_t target = TRY(to_offset(to_start));
    reply.written(TRY(fs.copy(to_ino(from), source, to_ino(to), target, length, caller_of(request))));
    return {};
  });
}

void op_lseek(fuse_req_t request, fuse_ino_t ino, off_t offset, int whence, fuse_file_info*) {
  serve(request, Op::lseek, [&](Filesystem& fs, Reply& reply) -> Result<> {
    if (offset < 0) return Error(Code::no_such_offset, "before the start of the file");
    const uint64_t start = TRY(to_offset(offset));
    reply.position(TRY(fs.seek(to_ino(ino), start, whence)));
    return {};
  });
}

/// O_TMPFILE came with libfuse 3.17: set the handler where the table has a place for it. See fs/ops_tmpfile.cc for
/// older ones.
template <class Ops>
void add_tmpfile(Ops& ops) {
  if constexpr (requires { ops.tmpfile = op_tmpfile; }) ops.tmpfile = op_tmpfile;
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& ops) {
  ops.open = op_open;
  ops.create = op_create;
  ops.read = op_read;
  ops.write = op_write;
  ops.fsync = op_fsync;
  ops.fallocate = op_fallocate;
  ops.copy_file_range = op_copy_file_range;
  ops.lseek = op_lseek;
  add_tmpfile(ops);
}

}  // namespace tain::fs
