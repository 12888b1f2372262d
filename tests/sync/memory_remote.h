// SPDX-License-Identifier: Apache-2.0
// A remote in memory that can do everything wrong that a remote can do, in virtual time and from a seed.
//
// A MemoryBucket is the server; every device has a MemoryRemote of its own, so that a dishonest server can tell each of them
// another story. The same seed and the same requests at the same times give the same faults. Without faults it is
// a good remote: it passes the conformance suite.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "sync/remote.h"

namespace tain::sync {

/// How often what goes wrong: each a chance in a thousand.
struct RemoteFaults {
  // Of requests; at most one of them befalls a request.
  uint32_t error_before = 0;   // it fails, without effect
  uint32_t reply_lost = 0;     // it fails, and had its effect
  uint32_t late_landing = 0;   // of a put or remove: it fails, and has its effect some time later
  uint32_t delayed = 0;        // of a put or remove: it succeeds, and has its effect some time later
  uint32_t duplicated = 0;     // of a put or remove: it succeeds, and comes again some time later
  uint32_t torn = 0;           // of a put: only its beginning is stored; half of them fail, the others succeed
  uint32_t stale_listing = 0;  // as of some time ago
  uint32_t cut_listing = 0;    // ends early, and says that this was all
  uint32_t flipped_reply = 0;  // of a get: one bit is wrong, this time
  // Of what is stored; tried before each request.
  uint32_t lost = 0;     // an object is gone
  uint32_t flipped = 0;  // a bit of an object is wrong from now on
  uint32_t swapped = 0;  // two objects have one another's bytes

  int64_t delay_max_ns = 60'000'000'000;  // what "some time" is at most
};

/// Requests that were made, whatever came of them.
struct RemoteRequests {
  uint64_t puts = 0;
  uint64_t gets = 0;
  uint64_t stats = 0;
  uint64_t lists = 0;
  uint64_t removes = 0;
  uint64_t bytes_put = 0;
  uint64_t bytes_got = 0;
  uint64_t all() const { return puts + gets + stats + lists + removes; }
};

/// The server. Threads: any number may call at once; what they get then depends on their order.
class MemoryBucket {
 public:
  /// `clock` is asked for monotonic_ns() only.
  MemoryBucket(Clock& clock, uint64_t seed) : clock_(clock), random_(seed) {}
  MemoryBucket(const MemoryBucket&) = delete;
  MemoryBucket& operator=(const MemoryBucket&) = delete;

  void set_faults(const RemoteFaults& faults);
  /// Bytes of all objects together; what would exceed it is refused (no_space).
  void set_capacity(uint64_t bytes);
  /// The most names of a page of a listing.
  void set_page_size(size_t names);

  // What somebody does behind everybody's back. What names nothing that is there does nothing.
  void plant(const ObjectName& name, Bytes bytes);
  void lose(const ObjectName& name);
  void flip_bit(const ObjectName& name);
  void swap(const ObjectName& one, const ObjectName& other);
  /// Brings back what was removed or lost, as it was last.
  void replay(const ObjectName& name);
  /// Everything is gone, as after a new start with an empty disk.
  void empty();
  /// Names in the folder that are none of ours.
  void add_clutter(ObjectFolder folder, uint64_t names);

  // What is there, and what was done.
  std::map<ObjectName, Bytes> objects();
  RemoteRequests requests() const;
  /// How often each fault happened, by its name in RemoteFaults.
  std::map<std::string, uint64_t> faults() const;

 private:
  friend class MemoryRemote;

  /// What a name meant from one time on until another.
  struct Version {
    Bytes bytes;
    int64_t from = 0;
    int64_t until = INT64_MAX;
  };
  /// A put, or a remove if there are no bytes, that is under way.
  struct Effect {
    ObjectName name;
    std::optional<Bytes> bytes;
  };
  enum class Fate { good, error_before, reply_lost, late_landing, delayed, duplicated, torn, stale_listing, cut_listing, flipped_reply };

  // All with mutex_ held.
  int64_t begin_request();
  int64_t catch_up();
  void happen(const Effect& effect, int64_t now);
  void decay(int64_t now);
  Fate draw(std::initializer_list<Fate> possible);
  bool chance(uint32_t per_mille, const char* fault);
  uint64_t below(uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }
  int64_t some_time();
  const Version* version_at(const ObjectName& name, int64_t time) const;
  Version* present(const ObjectName& name, int64_t now);
  std::vector<ObjectName> present_names(int64_t now) const;
  void flip_bit_of(Bytes& bytes);
  Result<> change(Effect effect);

  Clock& clock_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::mt19937_64 random_;
  RemoteFaults chances_;
  uint64_t capacity_ = UINT64_MAX;
  size_t page_size_ = 100;
  std::map<ObjectName, std::vector<Version>> versions_;  // ascending in time; the last one may be the present
  std::multimap<int64_t, Effect> under_way_;             // by when it lands
  std::map<ObjectFolder, uint64_t> clutter_;
  RemoteRequests requests_;
  std::map<std::string, uint64_t> happened_;
};

/// A device's way to a bucket, which outlives it. What is said to it alone is said between requests.
class MemoryRemote final : public Remote {
 public:
  explicit MemoryRemote(MemoryBucket& bucket) : bucket_(&bucket) {}

  /// From now on it leads somewhere else: another vault's bucket, or a new one.
  void lead_to(MemoryBucket& bucket) { bucket_ = &bucket; }
  /// Shows this device everything as it was at that time, and takes what it puts without showing it; nothing: as it is.
  void withhold_since(std::optional<int64_t> monotonic_ns) { shown_as_of_ = monotonic_ns; }
  /// Every request fails with that code, without effect; nothing: no longer.
  void refuse(std::optional<Code> code) { refused_with_ = code; }

  Result<> put(const ObjectName& name, ByteView bytes) override;
  Result<Bytes> get(const ObjectName& name, uint64_t size_max) override;
  Result<Bytes> get_range(const ObjectName& name, uint64_t offset, uint64_t length) override;
  Result<std::optional<uint64_t>> stat(const ObjectName& name) override;
  Result<RemoteListing> list(ObjectFolder folder, const std::string& from) override;
  Result<> remove(const ObjectName& name) override;

 private:
  Result<Bytes> read(const ObjectName& name, uint64_t offset, uint64_t length, uint64_t size_max);
  int64_t shown(int64_t now) const { return shown_as_of_.value_or(now); }

  MemoryBucket* bucket_;
  std::optional<int64_t> shown_as_of_;
  std::optional<Code> refused_with_;
};

}  // namespace tain::sync
