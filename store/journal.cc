// SPDX-License-Identifier: Apache-2.0
#include "store/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/counters.h"

namespace tain::store {
namespace {

constexpr std::string_view kJournalMagic = "TAINJNL1";
constexpr size_t kTagSize = 16;  // of a seal, at its end
constexpr size_t kSealedMax = kJournalPayloadMax * 2;  // what a reader accepts
static_assert(kSealedMax + kFrameHeaderSize + kChecksumSize < kJournalSize);

uint64_t frame_size(size_t sealed_size) {
  const uint64_t size = kFrameHeaderSize + sealed_size + kChecksumSize;
  return (size + kJournalAlignment - 1) / kJournalAlignment * kJournalAlignment;
}

/// A frame as it lies in the file.
struct Frame {
  ByteView header;
  ByteView sealed;
  uint64_t sequence = 0;
  Id32 chain{};
  uint64_t size = 0;  // with padding
};

/// Structure and checksum; no key needed.
std::optional<Frame> parse_frame(ByteView file, uint64_t offset) {
  if (offset + kFrameHeaderSize + kChecksumSize > file.size()) return std::nullopt;
  ByteView rest = file.subspan(offset);
  Reader r(rest.first(kFrameHeaderSize));
  if (as_text(r.raw(kJournalMagic.size())) != kJournalMagic) return std::nullopt;
  const size_t sealed_size = r.u32();
  r.u32();  // epoch: part of the seal's associated data
  Frame frame;
  frame.sequence = r.u64();
  frame.chain = r.array<32>();
  if (sealed_size > kSealedMax || kFrameHeaderSize + sealed_size + kChecksumSize > rest.size()) return std::nullopt;
  frame.header = rest.first(kFrameHeaderSize);
  frame.sealed = rest.subspan(kFrameHeaderSize, sealed_size);
  frame.size = frame_size(sealed_size);
  const auto checksum = xxh3_128(rest.first(kFrameHeaderSize + sealed_size));
  ByteView stored = rest.subspan(kFrameHeaderSize + sealed_size, kChecksumSize);
  if (!std::equal(checksum.begin(), checksum.end(), stored.begin())) return std::nullopt;
  return frame;
}

/// Of a frame that was sealed or opened here, never of one that was only parsed: the bytes between the seal's beginning
/// and its tag are not hashed, it is the tag that proves them.
Id32 chain_value(ByteView header, ByteView sealed) {
  std::array<uint8_t, kFrameHeaderSize + kSealOverhead> ends{};
  auto at = std::copy(header.begin(), header.end(), ends.begin());
  at = std::copy_n(sealed.begin(), kSealOverhead - kTagSize, at);
  std::copy(sealed.end() - kTagSize, sealed.end(), at);
  return hash256(ends);
}

Result<> write_zeros(int fd) {
  const Bytes zeros(size_t{1} << 20);
  for (uint64_t offset = 0; offset < kJournalSize; offset += zeros.size()) TRY(write_exactly(fd, zeros, offset));
  return {};
}

}  // namespace

Result<> Journal::create(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return errno_error(errno, "create " + path);
  TRY(write_zeros(fd.get()));
  if (::fsync(fd.get()) != 0) return errno_error(errno, "flush " + path);
  return fsync_directory(path.substr(0, path.rfind('/') + 1));
}

Result<std::unique_ptr<Journal>> Journal::open(const std::string& path, const Cipher& cipher) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  // Replaying needs no more than to read; appending will report what writing then meets.
  if (!fd.valid() && errno == EROFS) fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid() && errno != ENOENT) return errno_error(errno, "open " + path);
  return std::unique_ptr<Journal>(new Journal(path, std::move(fd), cipher));
}

Result<Journal::ReplayReport> Journal::replay(const JournalPosition& position,
                                              const std::function<Result<>(ByteView)>& apply) {
  position_ = position;
  offset_ = 0;
  ReplayReport report;
  if (!fd_.valid()) return report;
  struct stat st {};
  if (::fstat(fd_.get(), &st) != 0) return errno_error(errno, "journal");
  Bytes file(std::min<uint64_t>(static_cast<uint64_t>(st.st_size), kJournalSize));
  TRY(read_exactly(fd_.get(), file, 0));

  uint64_t offset = 0;
  while (auto frame = parse_frame(file, offset)) {
    if (frame->sequence > position_.sequence) {
      if (frame->sequence != position_.sequence + 1 || frame->chain != position_.chain) break;
      auto payload = cipher_.open_frame(frame->header, frame->sealed);
      if (!payload.ok()) {
        report.damaged = true;  // its checksum is good: not a torn write
        break;
      }
      TRY(apply(*payload));
      position_ = {.sequence = frame->sequence, .chain = chain_value(frame->header, frame->sealed)};
      ++report.frames;
    }
    offset += frame->size;
    offset_ = offset;
  }
  // A write that was cut by a crash is the last one. An intact frame, here or further on, that would have followed says
  // that something in between was damaged after it was durable, or that the position is older than the frames.
  uint64_t last_sequence = position_.sequence;
  for (uint64_t later = offset; later < file.size(); later += kJournalAlignment) {
    auto frame = parse_frame(file, later);
    if (frame && frame->sequence > position_.sequence + 1 && cipher_.open_frame(frame->header, frame->sealed).ok()) {
      report.damaged = true;
      last_sequence = std::max(last_sequence, frame->sequence);
    }
  }
  if (report.damaged) {
    // The numbers of the lost frames are spent: once a commit says so, these frames are no news again.
    position_.sequence = last_sequence;
    abandon();
  }
  return report;
}

bool Journal::has_room(size_t size) const { return offset_ + frame_size(size + kSealOverhead) <= kJournalSize; }

Result<> Journal::append(ByteView payload) {
  if (!usable_ || payload.size() > kJournalPayloadMax || !has_room(payload.size()))
    return Error(Code::no_space, "the journal has no room");
  const size_t sealed_size = payload.size() + kSealOverhead;
  Bytes frame;
  frame.reserve(frame_size(sealed_size));
  Writer w(frame);
  w.raw(as_bytes(kJournalMagic)).u32(static_cast<uint32_t>(sealed_size)).u32(cipher_.epoch());
  w.u64(position_.sequence + 1).raw(position_.chain);
  const Bytes sealed = cipher_.seal_frame(ByteView(frame).first(kFrameHeaderSize), payload);
  w.raw(sealed);
  const Id32 chain = chain_value(ByteView(frame).first(kFrameHeaderSize), sealed);
  w.raw(xxh3_128(frame));
  frame.resize(frame_size(sealed_size));

  auto written = write(frame);
  if (!written.ok()) {
    abandon();
    return std::move(written).error().with("journal");
  }
  ++position_.sequence;
  position_.chain = chain;
  offset_ += frame.size();
  ++frames_written_;
  count(Work::journal_frames);
  return {};
}

Result<> Journal::write(ByteView frame) {
  if (!fd_.valid()) {
    TRY(create(path_));
    fd_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!fd_.valid()) return errno_error(errno, "open " + path_);
  }
  TRY(write_exactly(fd_.get(), frame, offset_));
  count(Work::journal_bytes, frame.size());
  count(Work::journal_flushes);
  if (::fdatasync(fd_.get()) != 0) return errno_error(errno, "flush");
  return {};
}

void Journal::abandon() {
  // A failed frame may or may not be on the disk. Its number is spent, and a chain value that no frame
  // has makes sure that it is never replayed over the commit that will follow.
  usable_ = false;
  ++position_.sequence;
  fill_random(position_.chain);
}

Result<> Journal::erase() {
  restart();
  if (!fd_.valid()) return {};
  TRY(write_zeros(fd_.get()));
  if (::fsync(fd_.get()) != 0) return errno_error(errno, "flush " + path_);
  return {};
}

void Journal::restart() {
  offset_ = 0;
  usable_ = true;
}

}  // namespace tain::store
