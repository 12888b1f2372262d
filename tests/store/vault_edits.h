// SPDX-License-Identifier: Apache-2.0
// Changes to a closed vault's database behind tain's back, for tests of what notices them.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "store/check.h"
#include "store/database.h"
#include "tests/support/temp_vault.h"

namespace tain::test {

/// Runs `change` on the database, with the keys. Digests stay as they were unless it uses a Batch.
inline void change_database(const std::string& directory,
                            const std::function<void(store::Env&, const store::Cipher&)>& change) {
  const auto vault = store::LockedVault::open(directory, TempVault::password()).value();
  auto env = store::Env::open(directory + "/data.mdb", {.map_size_bytes = uint64_t{1} << 28}).value();
  change(*env, *vault.cipher);
}

/// The stored bytes of one value, changed by `edit` and put back.
inline void edit_value(const std::string& directory, store::Table table, ByteView key,
                       const std::function<void(Bytes&)>& edit) {
  change_database(directory, [&](store::Env& env, const store::Cipher&) {
    auto txn = store::WriteTxn::begin(env).value();
    const ByteView stored = *txn.get(table, key).value();
    Bytes value(stored.begin(), stored.end());
    edit(value);
    ASSERT_TRUE(txn.put(table, key, value).ok());
    ASSERT_TRUE(std::move(txn).commit().ok());
  });
}

inline void remove_value(const std::string& directory, store::Table table, ByteView key) {
  change_database(directory, [&](store::Env& env, const store::Cipher&) {
    auto txn = store::WriteTxn::begin(env).value();
    ASSERT_TRUE(txn.remove(table, key).value());
    ASSERT_TRUE(std::move(txn).commit().ok());
  });
}

}  // namespace tain::test
