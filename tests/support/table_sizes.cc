// SPDX-License-Identifier: Apache-2.0
#include "tests/support/table_sizes.h"

#include <lmdb.h>
#include <sys/stat.h>

#include "base/check.h"
#include "store/snapshot.h"

namespace tain::test {
namespace {

std::string row(const std::string& what, size_t values, size_t bytes) {
  return "| " + what + " | " + std::to_string(values) + " | " + std::to_string(bytes) + " |\n";
}

}  // namespace

std::string table_sizes(const std::string& vault_directory) {
  const std::string path = vault_directory + "/data.mdb";
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  CHECK(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, store::kTableCount) == 0);
  CHECK(mdb_env_open(env, path.c_str(), MDB_NOSUBDIR | MDB_RDONLY, 0600) == 0 && mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) == 0);
  std::string out;
  size_t sum = 0;
  for (const store::Table table : store::kTables) {
    MDB_dbi dbi{};
    MDB_stat stat{};
    CHECK(mdb_dbi_open(txn, store::table_name(table), 0, &dbi) == 0 && mdb_stat(txn, dbi, &stat) == 0);
    const size_t bytes = (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
    out += row(store::table_name(table), stat.ms_entries, bytes);
    sum += bytes;
  }
  mdb_txn_abort(txn);
  mdb_env_close(env);
  struct stat file {};
  CHECK(::stat(path.c_str(), &file) == 0);
  const auto size = static_cast<size_t>(file.st_size);
  return out + row("free pages, the free list and the meta pages", 0, size - sum) + row("the whole file", 0, size);
}

}  // namespace tain::test
