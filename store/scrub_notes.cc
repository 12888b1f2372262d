// SPDX-License-Identifier: Apache-2.0
#include "store/scrub_notes.h"

#include <array>

namespace tain::store {

Result<bool> scrub_notes(Database& database, const ReadTxn& txn, ScrubPlace& place, ScrubCounts& counts,
                         const std::function<bool(size_t bytes)>& spend) {
  const Table table = place.stage == ScrubPlace::Stage::marks ? Table::marks : Table::notes;
  Cursor cursor = TRY(Cursor::open(txn, table));
  std::array<uint8_t, 16> key;
  store_be64(key.data(), raw(place.ino));
  store_be64(key.data() + 8, place.at);
  for (auto item = cursor.seek(key);; item = cursor.next()) {
    if (item.is(Code::corrupt)) {  // a page; whoever mirrors the vault finds out what was on it
      ++counts.lost;
      return true;
    }
    const auto found = TRY(std::move(item));
    if (!found.has_value()) return true;
    if (found->key.size() != key.size()) {
      ++counts.lost;
      continue;
    }
    place.ino = Ino{load_be64(found->key.data())};
    place.at = load_be64(found->key.data() + 8);
    if (!spend(found->value.size())) return false;
    ++counts.records;
    counts.bytes += found->value.size();
    Damage damage = Damage::none;
    const auto record = database.cipher().open_record(table, found->key, found->value, &damage);
    if (!record.ok() || damage != Damage::none) ++counts.lost;
  }
}

}  // namespace tain::store
