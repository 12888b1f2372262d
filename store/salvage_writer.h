// SPDX-License-Identifier: Apache-2.0
// The database of the vault that tain salvage makes: records and blocks go in, in no order, and nothing is changed.
#pragma once

#include <optional>

#include "store/database.h"

namespace tain::store {

/// Commits in transactions of bounded size.
class SalvageWriter {
 public:
  SalvageWriter(Database& database, const State& state);

  Result<> put_record(Table table, ByteView key, Kind kind, uint16_t schema, ByteView body);
  Result<> put_block(const BlockId& id, ByteView value);
  /// For what is sealed anew.
  BlockId new_block_id() { return {writer_id_, ++block_number_}; }
  State& state() { return state_; }
  Result<> finish();

 private:
  Result<> make_room(uint64_t bytes);
  Result<> commit();
  Database& database_;
  State state_;
  const uint64_t writer_id_;
  uint64_t block_number_ = 0;
  std::optional<Batch> batch_;
  uint64_t bytes_ = 0;  // in it
};

}  // namespace tain::store
