// SPDX-License-Identifier: Apache-2.0
// A remote: a bag of immutable objects that can lose, delay and repeat, and is believed nothing (docs/remote-protocol.md).
//
// The interface asks for what the worst server can do: no lock, no condition, no rename, no complete listing. Whoever
// implements it passes the conformance suite (tests/sync/remote_conformance.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "sync/object_name.h"

namespace tain::sync {

/// One page of a listing.
struct RemoteListing {
  struct Object {
    ObjectName name;
    uint64_t size = 0;  // bytes
  };
  std::vector<Object> objects;  // in no order
  std::string next;             // where the next page begins; empty: this was the last
  uint64_t ignored = 0;         // names that are none of ours
};

/// Errors of all: remote_unreachable (try again later), remote_refused (credentials, permissions; asks for a person),
/// no_space (the remote is full), io (it answered nonsense), interrupted. Threads: any number may call at once.
class Remote {
 public:
  virtual ~Remote() = default;

  /// Stores the object; durable on the remote, as far as it tells, when this returns. Again with the same bytes does
  /// nothing; nobody ever puts other bytes under a name. A reader never sees part of it under this name, where the
  /// remote can do that.
  virtual Result<> put(const ObjectName& name, ByteView bytes) = 0;
  /// The whole object, or `length` bytes from `offset`: fewer at its end, none beyond it. Errors: also not_found;
  /// too_large (it is larger than `size_max`: nothing was kept).
  virtual Result<Bytes> get(const ObjectName& name, uint64_t size_max) = 0;
  virtual Result<Bytes> get_range(const ObjectName& name, uint64_t offset, uint64_t length) = 0;
  /// Its size in bytes; nothing if it is not there.
  virtual Result<std::optional<uint64_t>> stat(const ObjectName& name) = 0;
  /// Of one folder of the remote, from where the page before ended ("" at first). May miss what was put lately. What is
  /// removed between two pages takes nothing else out of the later one. Errors: also invalid_argument (no page ended
  /// there).
  virtual Result<RemoteListing> list(ObjectFolder folder, const std::string& from) = 0;
  /// That it was not there is no error.
  virtual Result<> remove(const ObjectName& name) = 0;
};

}  // namespace tain::sync
