// SPDX-License-Identifier: Apache-2.0
// Announcements and segments: what a writer publishes, as values and as objects (docs/remote-protocol.md §3).
//
// Threads: all functions may run concurrently.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "store/remote_cipher.h"
#include "sync/entry.h"
#include "sync/object_name.h"

namespace tain::sync {

inline constexpr uint16_t kProtocolVersion = 1;
inline constexpr uint64_t kSegmentObjectMax = uint64_t{8} << 20;  // bytes
inline constexpr uint64_t kAnnouncementObjectMax = 4096;          // bytes
inline constexpr size_t kVectorMax = 1024;
inline constexpr size_t kSegmentPacksMax = 8192;
inline constexpr size_t kSegmentRecordsMax = 65536;
inline constexpr size_t kLabelMax = 64;  // bytes

using WriterId = uint64_t;
using DeviceId = Id16;

/// How far a writer is known: its segments up to n, of which the last has that chain value. n = 0: none.
struct Reached {
  WriterId writer = 0;
  uint64_t n = 0;
  Id32 chain{};
  bool operator==(const Reached&) const = default;
};

struct Announcement {
  WriterId writer = 0;
  DeviceId device{};
  store::PublicKey key{};
  std::string label;
  Reached before;  // the same device's writer before; writer 0: there is none
  uint64_t hlc = 0;
  bool operator==(const Announcement&) const = default;
};

/// A pack that a segment is the first to name.
struct PackEntry {
  PackId id{};
  uint64_t size = 0;  // bytes, of the object
  Id32 hash{};        // H of the object
  bool operator==(const PackEntry&) const = default;
};

struct Segment {
  WriterId writer = 0;
  uint64_t n = 1;
  Id32 chain_before{};          // zeros if n = 1
  uint64_t hlc = 0;
  std::vector<Reached> vector;  // what it comes after; ascending by writer, each with n > 0
  std::vector<PackEntry> packs;
  std::vector<EntryRecord> records;  // of an entry at most one
  bool operator==(const Segment&) const = default;
};

ObjectName announcement_name(const store::RemoteCipher& cipher, WriterId writer);
ObjectName segment_name(const store::RemoteCipher& cipher, WriterId writer, uint64_t n);
ObjectName pack_name(const store::RemoteCipher& cipher, const PackId& id);

/// The whole object. Sealed with fresh random bytes: keep it, and never seal the same again.
Bytes seal_announcement(const store::RemoteCipher& cipher, const store::SigningKey& key, const Announcement& announcement);
/// Its name may be one that a listing shows: whose it is its body tells. Errors: corrupt, format_too_new.
Result<Announcement> open_announcement(const store::RemoteCipher& cipher, const ObjectName& name, ByteView object);

Bytes seal_segment(const store::RemoteCipher& cipher, const store::SigningKey& key, const Segment& segment);
/// `key` is that of the writer's device. Errors: corrupt, format_too_new; not_permitted: another device signed it.
Result<Segment> open_segment(const store::RemoteCipher& cipher, const store::PublicKey& key, WriterId writer, uint64_t n,
                             ByteView object);

/// Parts of the bodies, as other formats use them too. What get_…() takes from foreign bytes fails with the reader.
void put_reached(Writer& out, const Reached& reached);
Reached get_reached(Reader& in);
void put_announcement(Writer& out, const Announcement& announcement);
Announcement get_announcement(Reader& in);

/// The chain value of a segment's object.
Id32 chain_value(ByteView object);

}  // namespace tain::sync
