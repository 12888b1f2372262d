// SPDX-License-Identifier: Apache-2.0
// Exactly one reply to each FUSE request, whatever happens.
//
// A handler gets a Reply and answers through it. If it returns an Error the errno is sent; if it throws, or
// returns without an answer, EIO is. Exceptions end here: the frames above belong to C.
//
// Reply last and unlocked: the moment the kernel has its answer it may send the next request for the same
// inode, FORGET included, to another thread.
#pragma once

#include <cerrno>
#include <new>
#include <utility>

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 35
#endif
#include <fuse_lowlevel.h>

#include "base/result.h"
#include "fs/errno.h"
#include "fs/filesystem.h"

namespace tain::fs {

/// What stat() shows. st_blksize is the size of a block of the store, so that programs which size their buffers
/// by it send a block in one request.
struct stat to_stat(const store::Attr& attr);

/// What the kernel is told of a name. It may believe it for a day: nobody else changes this file system. Not what is
/// volatile in .tain/.
fuse_entry_param to_entry(const store::Attr& attr);

inline constexpr double kCacheTimeout_s = 24 * 3600;

class Reply {
 public:
  Reply(fuse_req_t request, Filesystem& filesystem) : request_(request), filesystem_(filesystem) {}
  ~Reply() { fail(EIO); }
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  /// Sends an error unless something was sent already.
  void fail(int errno_value);

  // Each of these once, and nothing after it.
  void done();
  /// `attr` counts as looked up; the count is given back if the kernel no longer waits for the answer.
  void entry(const store::Attr& attr);
  void created(const store::Attr& attr, const fuse_file_info& file);
  /// The name does not exist, and the kernel may remember that.
  void no_entry();
  void attr(const store::Attr& attr);
  void opened(const fuse_file_info& file);
  void link_target(const std::string& target);
  void bytes(ByteView data);
  /// A page of a listing; the counts of `looked_up` are given back if the kernel no longer waits for it.
  void listing(ByteView page, const std::vector<Ino>& looked_up);
  void written(size_t count);
  /// An extended attribute or the list of them: its size when `room` is 0, else itself, or ERANGE.
  void attribute(ByteView value, size_t room);
  void position(uint64_t offset);
  void statfs(const struct statvfs& stats);

 private:
  fuse_req_t take();

  fuse_req_t request_;  // null once answered
  Filesystem& filesystem_;
};

/// Runs `body(Reply&) -> Result<>` for `request`.
template <class Body>
void answer(fuse_req_t request, Filesystem& filesystem, Body&& body) noexcept {
  Reply reply(request, filesystem);
  try {
    const Result<> result = std::forward<Body>(body)(reply);
    if (!result.ok()) reply.fail(to_errno(result.code()));
  } catch (const std::bad_alloc&) {
    reply.fail(ENOMEM);
  } catch (...) {
    reply.fail(EIO);
  }
}

}  // namespace tain::fs
