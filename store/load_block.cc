// SPDX-License-Identifier: Apache-2.0
#include "store/load_block.h"

namespace tain::store {

Result<std::shared_ptr<const Bytes>> load_block(Database& database, const ContentRecord& content, uint64_t index) {
  ReadTxn txn = TRY(ReadTxn::begin(database.env()));
  TxnNodeReader nodes(database, txn);
  auto ref = TRY(find_block(content, index, nodes));
  if (!ref.has_value()) return std::shared_ptr<const Bytes>();
  const BlockPlace place{.content = content.id, .id = ref->id, .level = 0, .index = index};
  if (auto cached = database.cache().data(ref->id)) return cached;
  auto plain = std::make_shared<Bytes>(ref->length);
  TRY(database.read_block(txn, place, *ref, 0, *plain));
  return std::shared_ptr<const Bytes>(std::move(plain));
}

}  // namespace tain::store
