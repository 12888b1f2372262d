// SPDX-License-Identifier: Apache-2.0
#include "store/compact.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file.h"

namespace tain::store {
namespace {

constexpr uint64_t kHoleMax = uint64_t{16} << 20;  // bytes of one call: it must not hold up commits for long

Result<struct stat> status_of(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return errno_error(errno, "look at the database");
  return st;
}

Result<> make_hole(int fd, uint64_t offset, uint64_t size) {
  int rc = 0;
  do {
    rc = ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(size));
  } while (rc != 0 && errno == EINTR);
  if (rc == 0) return {};
  if (errno == EOPNOTSUPP || errno == ENOSYS)
    return Error(Code::unsupported, "the file system that holds the vault cannot make holes in files")
        .hint("what is free in the vault's database stays with it and is used again; to make it small, copy the files "
              "into a new vault");
  return errno_error(errno, "make a hole in the database");
}

/// Where bytes of the file begin from `offset` on; `end` when there are none before. A file system that does not know
/// its holes has bytes everywhere.
uint64_t next_data(int fd, uint64_t offset, uint64_t end) {
  const off_t found = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (found >= 0) return std::min(static_cast<uint64_t>(found), end);
  return errno == ENXIO ? end : offset;
}

/// One past the pages [`from`, …) that follow each other in `pages` from index `i` on, and the index behind them.
std::pair<uint64_t, size_t> run_end(const std::vector<uint64_t>& pages, size_t i) {
  uint64_t end = pages[i] + 1;
  for (++i; i < pages.size() && pages[i] == end; ++i) ++end;
  return {end, i};
}

}  // namespace

Result<CompactStep> compact_step(Env& env, uint64_t from, int64_t max_ns) {
  const int64_t begun_ns = system_clock().monotonic_ns();
  const WriteTxn turn = TRY(WriteTxn::begin(env));
  const std::vector<uint64_t> spare = TRY(turn.spare_pages());
  const int64_t listed_ns = system_clock().monotonic_ns();
  const int64_t until_ns = listed_ns + std::max(max_ns, listed_ns - begun_ns);

  const int fd = turn.descriptor();
  const struct stat before = TRY(status_of(fd));
  CompactStep out{.next = 0, .last_page = turn.last_page()};
  bool any = false;
  for (size_t i = static_cast<size_t>(std::lower_bound(spare.begin(), spare.end(), from) - spare.begin());
       i < spare.size() && out.next == 0;) {
    const uint64_t first = spare[i];
    const auto [end_page, behind] = run_end(spare, i);
    i = behind;
    const uint64_t end = end_page * kPageSize;
    for (uint64_t at = first * kPageSize; at < end;) {
      // At least one hole a step, or it would never come to an end on a busy machine.
      if (any && system_clock().monotonic_ns() >= until_ns) {
        out.next = at / kPageSize;
        break;
      }
      const uint64_t data = next_data(fd, at, end) / kPageSize * kPageSize;
      if (data == end) break;
      at = std::min(end, data + kHoleMax);
      TRY(make_hole(fd, data, at - data));
      any = true;
    }
  }
  // Behind the last page there may be what a commit wrote that then failed.
  const uint64_t size = (out.last_page + 1) * kPageSize;
  if (out.next == 0 && static_cast<uint64_t>(before.st_size) > size && ::ftruncate(fd, static_cast<off_t>(size)) != 0)
    return errno_error(errno, "cut the database");
  const struct stat after = TRY(status_of(fd));
  if (after.st_blocks < before.st_blocks)
    out.returned_bytes = static_cast<uint64_t>(before.st_blocks - after.st_blocks) * 512;
  return out;
}

Result<uint64_t> cut_free_end(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open the database");
  const auto size = static_cast<uint64_t>(TRY(status_of(fd.get())).st_size);
  const MetaPage newest = TRY(read_newest_meta(fd.get()));
  const PageSource source = PageSource::of_file(fd.get(), newest.page_size);
  // As WriteTxn::spare_pages(), without readers.
  const std::vector<uint64_t> spare =
      TRY(read_free_list(source, newest.free_list, newest.last_page, nullptr, kNoPage, newest.transaction));
  uint64_t pages = newest.last_page + 1;
  for (auto page = spare.rbegin(); page != spare.rend() && *page + 1 == pages; ++page) --pages;
  const uint64_t wanted = pages * newest.page_size;
  if (wanted >= size) return uint64_t{0};
  if (::ftruncate(fd.get(), static_cast<off_t>(wanted)) != 0) return errno_error(errno, "cut the database");
  return size - wanted;
}

}  // namespace tain::store
