// SPDX-License-Identifier: Apache-2.0
// Whom files belong to: as the vault keeps it, and as a mount shows it on a machine where its owner has other numbers.
//
// The owner and group of the vault's root folder change places with those of the user that mounts it (docs/adr/0009).
// Since they change places, and are not merely replaced, no two owners become one, and the same map leads back.
#pragma once

#include <cstdint>

namespace tain::fs {

class Owners {
 public:
  struct Ids {
    uint32_t uid = 0;
    uint32_t gid = 0;
  };

  /// Everybody as the vault has it.
  Owners() = default;
  /// `kept` are those of the vault's root folder, `shown` those of the user that mounts it. Root, who can give files
  /// away, sees what is kept; so does whoever has the number that the vault knows.
  static Owners between(const Ids& kept, const Ids& shown) {
    Owners out;
    if (shown.uid == 0 || shown.uid == kept.uid) return out;
    out.kept_ = kept;
    out.shown_ = shown;
    return out;
  }

  bool change_places() const { return kept_.uid != shown_.uid; }
  /// The same in both directions.
  uint32_t user(uint32_t uid) const { return swapped(uid, kept_.uid, shown_.uid); }
  uint32_t group(uint32_t gid) const { return swapped(gid, kept_.gid, shown_.gid); }

 private:
  static uint32_t swapped(uint32_t id, uint32_t a, uint32_t b) {
    if (id == a) return b;
    return id == b ? a : id;
  }

  Ids kept_, shown_;
};

}  // namespace tain::fs
