// SPDX-License-Identifier: Apache-2.0
// What this device knows of all writers: who they are, how far each was read, and whether they contradict one another.
//
// Segments are applied in causal order: those of a writer by number, each after everything in its vector, and the first of
// a writer after what its announcement says came before. So what a vector says is covered exactly if each of its writers
// was applied that far. Pure: no remote, no store, no clock. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "sync/segment.h"

namespace tain::sync {

inline constexpr size_t kDevicesMax = 64;
inline constexpr size_t kWritersMax = 65536;
inline constexpr size_t kChainsKept = 256;  // chain values of a writer's latest segments

/// What a segment, or an announcement, contradicts: the writer is not followed any further.
enum class Contradiction : uint8_t {
  another_key = 1,    // the device was known with another public key
  broken_chain = 2,   // not what comes after the segment before
  took_back = 3,      // its vector has less than that of the segment before
  other_history = 4,  // it saw another segment under a number that is known here
};

/// One of them.
struct KnownWriter {
  Announcement announcement;
  Reached applied;              // n = 0: nothing yet
  std::vector<Reached> vector;  // of the last segment applied
  std::deque<Id32> chains;      // of the last ones applied, the last at the end; at most kChainsKept
  bool followed = true;
  bool operator==(const KnownWriter&) const = default;
};

class KnownWriters {
 public:

  /// False: it was known. Errors: not_permitted (another_key), too_big (devices or writers), corrupt (another announcement
  /// of a known writer).
  Result<bool> add(const Announcement& announcement);
  /// Null: unknown.
  const KnownWriter* find(WriterId writer) const;
  const std::map<WriterId, KnownWriter>& all() const { return writers_; }

  /// The segments to ask for: of every writer that is followed the one after the last applied. Its chain is what the last
  /// one's was.
  std::vector<Reached> wanted() const;
  /// Whether it may be applied. It is the next of a known writer, and ready: what its vector stands for can be told only if
  /// everybody in it is known. Errors: not_permitted with a Contradiction's text.
  Result<> check(const Segment& segment, Contradiction* what = nullptr) const;
  /// What it comes after and is not applied yet; empty: it is ready.
  std::vector<Reached> missing(const Segment& segment) const;
  /// What is known of its writer once the segment, checked and ready, is applied; restore() makes that so.
  KnownWriter after(const Segment& segment, const Id32& chain) const;
  void stop_following(WriterId writer);

  /// Whether segment n of that writer was applied.
  bool has_applied(WriterId writer, uint64_t n) const;
  /// Everything applied, as the vector of this device's next segment: `own` is left out, and who comes before one that is in it.
  std::vector<Reached> vector(WriterId own) const;
  /// Other writers that name the same predecessor as `writer`: the device was copied, or set back.
  std::vector<WriterId> forks_of(WriterId writer) const;
  size_t device_count() const;

  /// One writer as bytes, and back. Errors: corrupt.
  static Bytes encode(const KnownWriter& writer);
  static Result<KnownWriter> decode(ByteView bytes);
  /// Puts one back as it was.
  void restore(KnownWriter writer);

 private:
  /// Whether `vector` has everything that `tip` stands for.
  bool covers(const std::vector<Reached>& vector, const Reached& tip) const;

  std::map<WriterId, KnownWriter> writers_;
};

}  // namespace tain::sync
