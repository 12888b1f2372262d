// SPDX-License-Identifier: Apache-2.0
#include "store/salvage_writer.h"

#include "base/secret.h"

namespace tain::store {
namespace {

constexpr uint64_t kBatchBytes = uint64_t{32} << 20;  // of values in one transaction

}  // namespace

SalvageWriter::SalvageWriter(Database& database, const State& state)
    : database_(database), state_(state), writer_id_(random_u64()) {}

Result<> SalvageWriter::put_record(Table table, ByteView key, Kind kind, uint16_t schema, ByteView body) {
  TRY(make_room(body.size() + 256));
  return batch_->put_record(table, key, kind, schema, body, true);
}

Result<> SalvageWriter::put_block(const BlockId& id, ByteView value) {
  TRY(make_room(value.size()));
  return batch_->put_block(id, value);
}

Result<> SalvageWriter::finish() {
  TRY(make_room(0));
  return commit();
}

Result<> SalvageWriter::make_room(uint64_t bytes) {
  if (batch_.has_value() && bytes_ > kBatchBytes) TRY(commit());
  if (!batch_.has_value()) batch_.emplace(TRY(Batch::begin(database_, state_)));
  bytes_ += bytes;
  return {};
}

Result<> SalvageWriter::commit() {
  state_.commit_id = random_array<16>();
  ++state_.commit_number;
  state_ = TRY(std::move(*batch_).commit(state_));
  batch_.reset();
  bytes_ = 0;
  return {};
}

}  // namespace tain::store
