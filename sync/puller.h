// SPDX-License-Identifier: Apache-2.0
// Reads what other writers published, and hands it on in causal order (docs/remote-protocol.md §5).
//
// Writers are found by a listing, and by what segments say that they have seen; segments by their names alone. So a
// listing that is late or cut delays, and nothing else. What is not there, or does not open, is not there yet.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "base/result.h"
#include "store/remote_cipher.h"
#include "sync/known_writers.h"
#include "sync/remote.h"

namespace tain::sync {

/// What was wrong with an object of the remote, and could not be helped by waiting.
struct Trouble {
  enum class Kind : uint8_t {
    damaged,     // it does not open: torn, altered, or of another vault. May be whole later
    too_new,     // of a later version of tain: its writer is not read further
    contradicts, // its writer is not followed any further
    vanished,    // it is behind something that was there, or another writer has seen it: somebody removed or withholds it
  };
  Kind kind{};
  ObjectName name;
  WriterId writer = 0;  // 0: not known
  uint64_t n = 0;       // of a segment
  std::string text;     // for a person
  Bytes evidence;       // of what contradicts: the object
};

struct Pulled {
  uint64_t segments = 0;         // applied
  uint64_t waiting = 0;          // there, and not applied: something before them is not
  std::vector<WriterId> found;   // writers seen for the first time
  std::vector<Trouble> troubles;
};

/// Applies a segment; everything it comes after was applied. `after`: what is known of its writer once it is applied, to be
/// kept together with that. False: not now, and nothing was changed; the writer is asked again the next time.
using ApplySegment = std::function<Result<bool>(const Segment& segment, const KnownWriter& after)>;
/// Keeps what became known of a writer otherwise.
using KeepWriter = std::function<Result<>(const KnownWriter& writer)>;

/// Not thread-safe. Holds segments that wait, at most kHeldMax bytes of objects.
class Puller {
 public:
  static constexpr size_t kHeldMax = size_t{64} << 20;
  static constexpr size_t kListPagesMax = 10'000;

  /// `own` publishes itself, and is not read; 0: nobody does.
  Puller(Remote& remote, const store::RemoteCipher& cipher, KnownWriters& known, WriterId own)
      : remote_(remote), cipher_(cipher), known_(known), own_(own) {}

  /// Everything that can be applied now; of each writer at most `most` segments. Errors: those of the remote, but for what
  /// single objects suffer; those of the two.
  Result<Pulled> pull(const ApplySegment& apply, const KeepWriter& keep, uint64_t most = UINT64_MAX);

 private:
  struct Held {
    Segment segment;
    Id32 chain{};
    Bytes object;  // as evidence, if it contradicts
  };
  Result<> find_writers(Pulled& pulled, const KeepWriter& keep);
  Result<> learn(const ObjectName& name, Pulled& pulled, const KeepWriter& keep);
  /// Whether anything was applied.
  Result<bool> advance(WriterId writer, Pulled& pulled, const ApplySegment& apply, const KeepWriter& keep);
  Result<bool> fetch(const Reached& next, Pulled& pulled, const KeepWriter& keep);
  void drop(WriterId writer);  // what is held of it
  Result<> give_up(WriterId writer, Trouble trouble, Pulled& pulled, const KeepWriter& keep);

  Remote& remote_;
  const store::RemoteCipher& cipher_;
  KnownWriters& known_;
  const WriterId own_;
  std::map<WriterId, Held> held_;  // the next one of a writer, which waits
  // In this pull:
  std::set<WriterId> blocked_;  // nothing more of them is to be had
  std::set<WriterId> asked_;    // their announcements were asked for by name
  size_t held_bytes_ = 0;
};

}  // namespace tain::sync
