// SPDX-License-Identifier: Apache-2.0
#include "store/repair.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "store/catalog.h"
#include "store/database.h"
#include "store/header_file.h"
#include "store/mend.h"
#include "store/vault.h"

namespace tain::store {
namespace {

/// A copy beside it, sharing its blocks where the file system can. It is never removed.
Result<std::string> keep_copy(const std::string& path, uint64_t size) {
  const std::string copy = path + ".before-repair-" + std::to_string(system_clock().wall_ns() / 1'000'000'000);
  UniqueFd from(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  UniqueFd to(::open(copy.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!to.valid()) return errno_error(errno, "copy " + path + " to " + copy);
  const auto fill = [&]() -> Result<> {
    if (!from.valid()) return Error(Code::io, "cannot read " + path);
    if (::ioctl(to.get(), FICLONE, from.get()) != 0) {
      Bytes buffer(size_t{1} << 20);
      for (uint64_t at = 0; at < size; at += buffer.size()) {
        const auto part = ByteSpan(buffer).first(std::min<uint64_t>(buffer.size(), size - at));
        TRY(read_exactly(from.get(), part, at));
        TRY(write_exactly(to.get(), part, at));
      }
    }
    if (::fsync(to.get()) != 0) return errno_error(errno, "flush " + copy);
    return fsync_directory(path.substr(0, path.rfind('/') + 1));
  };
  Result<> filled = fill();
  if (filled.ok()) return copy;
  ::unlink(copy.c_str());  // half a copy would pass for one
  return std::move(filled).error().with("copy " + path + " to " + copy);
}

class Repair {
 public:
  Repair(Catalog& catalog, Batch& batch, State& state, std::vector<std::string>& done)
      : catalog_(catalog), batch_(batch), state_(state), done_(done) {
    for (const StoredValue& value : catalog.survey().values(Table::inodes))
      if (!catalog.inodes.contains(value.key.first)) unreadable_.insert(value.key.first);
    for (const auto& [ino, entry] : catalog.inodes) {
      uint64_t& newest = newest_succession_[raw(entry.past.previous)];
      newest = std::max(newest, entry.past.since);
    }
    std::set<RecordKey> readable;
    for (const CatalogName& name : catalog.names) readable.insert(key_of(name.dirent));
    for (const StoredValue& value : catalog.survey().values(Table::dirents))
      if (!readable.contains(value.key)) with_damaged_names_.insert(value.key.first);
  }

  Result<> run() {
    TRY(mend_checksums());
    TRY(drop_notes());
    TRY(mend_namespace());
    for (auto& [ino, entry] : catalog_.inodes) TRY(mend_inode(ino, entry));
    TRY(mend_leftovers());
    TRY(remove_blocks());
    uint64_t bytes = 0, retired = 0, retired_bytes = 0;
    for (const auto& [ino, entry] : catalog_.inodes) {
      const bool is_retired = entry.past.retired != 0;
      (is_retired ? retired_bytes : bytes) += entry.size;
      retired += is_retired ? 1 : 0;
    }
    if (unreadable_.empty()) {
      state_.content_bytes = bytes;
      state_.retired_inodes = retired;
      state_.retired_content_bytes = retired_bytes;
    }
    if (!catalog_.inodes.empty()) state_.next_ino = std::max(state_.next_ino, catalog_.inodes.rbegin()->first + 1);
    return {};
  }

 private:
  static RecordKey key_of(const Dirent& dirent) { return {raw(dirent.directory), raw(dirent.cookie)}; }
  void say(std::string text) { done_.push_back(std::move(text)); }

  /// Values whose seal is good.
  Result<> mend_checksums() {
    for (const auto& [table, key] : catalog_.bad_checksums) {
      const Bytes bytes = encode_key(table, key);
      const auto& values = catalog_.survey().values(table);
      auto it = std::lower_bound(values.begin(), values.end(), key,
                                 [](const StoredValue& v, const RecordKey& k) { return v.key < k; });
      if (it == values.end() || it->key != key) continue;
      Bytes value = TRY(catalog_.survey().read(it->extent));
      if (table == Table::blocks) {
        const auto checksum = value_checksum(table, bytes, ByteView(value).first(value.size() - kChecksumSize));
        std::copy(checksum.begin(), checksum.end(), value.end() - kChecksumSize);
        TRY(batch_.remove(table, bytes));
        TRY(batch_.put_block({key.first, key.second}, value));
      } else {
        auto record = TRY(catalog_.cipher().open_record(table, bytes, value));
        TRY(batch_.put_record(table, bytes, record.kind, record.schema, record.body, false));
      }
      say("the checksum of " + std::string(table_name(table)) + " " + to_hex(bytes) + " is made right");
    }
    return {};
  }

  Result<> drop_notes() {
    for (const auto& [table, key] : catalog_.unreadable_notes) TRY(batch_.remove(table, encode_key(table, key)));
    if (catalog_.unreadable_notes.empty()) return {};
    say("damaged marks and notes of sync are removed; it will look at everything again");
    state_.marks_changes = false;  // which tells it so
    return {};
  }

  Result<> mend_namespace() {
    std::map<RecordKey, std::string> before;
    for (const CatalogName& name : catalog_.names) before.emplace(key_of(name.dirent), name.dirent.name);
    std::map<RecordKey, uint8_t> types;
    for (const CatalogName& name : catalog_.names) types.emplace(key_of(name.dirent), name.dirent.type);
    const int64_t wall_ns = system_clock().wall_ns();
    // Inodes that are there but unreadable keep their names.
    Mended mended = mend_names(catalog_, unreadable_, {.seconds = wall_ns / 1'000'000'000, .nanoseconds = 0});
    for (const Finding& lost : mended.lost) say(lost.path + ": the name is removed, " + lost.what);
    for (std::string& remark : mended.remarks) say(std::move(remark));
    for (const CatalogName& name : catalog_.names) {
      const RecordKey key = key_of(name.dirent);
      const auto type = types.find(key);
      if (type != types.end() && type->second != name.dirent.type)
        TRY(batch_.put_record(Table::dirents, dirent_key(name.dirent.directory, name.dirent.cookie), Kind::dirent,
                              kDirentSchema, encode_dirent(name.dirent), false));
      before.erase(key);
    }
    for (const auto& [key, name] : before) TRY(batch_.remove(Table::dirents, encode_key(Table::dirents, key)));
    for (const Dirent& dirent : mended.new_names)
      TRY(batch_.put_record(Table::dirents, dirent_key(dirent.directory, dirent.cookie), Kind::dirent, kDirentSchema,
                            encode_dirent(dirent), false));
    for (Inode& inode : mended.new_inodes) {
      made_.insert(raw(inode.ino));
      mend_counts(catalog_, inode);
      TRY(batch_.put_record(Table::inodes, ino_key(inode.ino), Kind::inode, kInodeSchema, encode_inode(inode), false));
    }
    state_.next_ino = std::max(state_.next_ino, mended.next_ino);
    return {};
  }

  Result<> mend_inode(uint64_t ino, const CatalogInode& entry) {
    if (made_.contains(ino)) return {};
    Inode inode = TRY(catalog_.load_inode(ino));
    const Inode before = inode;
    // Where a name cannot be read, it still counts.
    if (!(inode.is_directory() && with_damaged_names_.contains(ino)) &&
        (with_damaged_names_.empty() || entry.names > 0))
      mend_counts(catalog_, inode);
    if (inode != before) say(catalog_.path(ino) + ": link count, number of entries or parent made right");
    if (entry.wrong_allocated && !entry.damaged_content) {
      inode.content.allocated = entry.allocated;
      say(catalog_.path(ino) + ": allocated bytes made right");
    }
    if (unreadable_.empty() && mend_chain(inode, entry)) say(catalog_.path(ino) + ": what came after it in history made right");
    if (entry.has_xattrs && (inode.flags & kInodeHasXattrs) == 0) {
      inode.flags |= kInodeHasXattrs;
      say(catalog_.path(ino) + ": its extended attributes are shown again");
    }
    const auto key = ino_key(inode.ino);
    if (!(inode == before))
      TRY(batch_.put_record(Table::inodes, key, Kind::inode, kInodeSchema, encode_inode(inode), false));
    const bool orphan = inode.nlink == 0 && !inode.is_retired();
    if (orphan == entry.is_orphan) return {};
    say(catalog_.path(ino) + ": orphan table made right");
    return orphan ? batch_.put_record(Table::orphans, key, Kind::orphan, kOrphanSchema, {}, false)
                  : batch_.remove(Table::orphans, key);
  }

  /// Where all inodes can be read it is known which come after this one.
  bool mend_chain(Inode& inode, const CatalogInode& entry) const {
    const Inode before = inode;
    uint64_t newest = 0;
    if (const auto it = newest_succession_.find(raw(inode.ino)); it != newest_succession_.end()) newest = it->second;
    if (raw(inode.past.previous) != 0 && !catalog_.inodes.contains(raw(inode.past.previous)))
      inode.past.previous = Ino{0}, inode.past.since = inode.past.floor = 0;
    set_successors(inode.past, inode.flags, entry.successors);
    inode.past.forked = std::max(inode.past.forked, newest);
    if (!inode.is_retired()) inode.flags &= ~kInodeTrashed;
    inode.flags = inode.past == Past{} ? inode.flags & ~kInodeHasPast : inode.flags | kInodeHasPast;
    return inode != before;
  }

  Result<> mend_leftovers() {
    for (const auto& [table, inos] :
         {std::pair(Table::orphans, &catalog_.orphans), std::pair(Table::xattrs, &catalog_.with_xattrs)}) {
      for (uint64_t ino : *inos) {
        if (catalog_.inodes.contains(ino) || unreadable_.contains(ino)) continue;
        TRY(batch_.remove(table, ino_key(Ino{ino})));
        say("a record of table " + std::string(table_name(table)) +
            " without an inode is removed: " + std::to_string(ino));
      }
    }
    return {};
  }

  /// Only where every map can be read: else a damaged one may be their owner.
  Result<> remove_blocks() {
    const bool all_maps =
        unreadable_.empty() && std::none_of(catalog_.inodes.begin(), catalog_.inodes.end(),
                                            [](const auto& entry) { return entry.second.damaged_content; });
    if (!all_maps) return {};
    for (const BlockId& id : catalog_.finder().unused()) {
      TRY(batch_.remove(Table::blocks, block_key(id)));
      say("block " + to_hex(block_key(id)) + ", which belonged to no file, is removed");
    }
    return {};
  }

  Catalog& catalog_;
  Batch& batch_;
  State& state_;
  std::vector<std::string>& done_;
  std::set<uint64_t> unreadable_;          // inodes whose records are there, but damaged
  std::set<uint64_t> with_damaged_names_;  // directories
  std::set<uint64_t> made_;
  std::map<uint64_t, uint64_t> newest_succession_;  // when another inode last took each one's entry over
};

/// Applies the journal as a mount does. Its frames hold whole records: applied after the repair they would overwrite
/// what it corrected, and what it made under a number that the database does not know to be taken.
Result<> apply_journal(LockedVault& vault, RepairReport& report) {
  vault.lock.reset();
  OpenOptions options;
  options.warn = [&report](const std::string& message) { report.done.push_back(message); };
  const auto apply = [&]() -> Result<> {
    auto opened = TRY(Vault::open(vault.directory, options, vault.master));
    return opened->close();
  };
  const Result<> applied = apply();
  vault.lock = TRY(VaultLock::take(vault.directory, ""));
  if (!applied.ok()) {
    return Error(applied.error().code(),
                 "the journal has changes that the database does not have, and they cannot be applied to it: " +
                     applied.error().message())
        .hint("mount and unmount the vault once and repair it then, or use tain salvage");
  }
  report.done.push_back("the journal's changes are applied to the database");
  return {};
}

/// Changes the database of `vault`, which has been checked into `survey` and `catalog`.
Result<> repair_database(const std::string& path, const LockedVault& vault, Survey& survey, Catalog& catalog,
                         RepairReport& report) {
  auto env = TRY(Env::open(path, {.map_size_bytes = 0, .create = false}));
  Database database(*env, *vault.cipher, 0);
  State state = *survey.state;
  // The digests as they would be of what is there; from here on the batch keeps them in step.
  state.sets = catalog.found_sets;
  Batch batch = TRY(Batch::begin(database, state));
  TRY(Repair(catalog, batch, state, report.done).run());
  if (!catalog.digests_match) report.done.push_back("counts and digests of the tables are made anew");
  ++state.commit_number;
  state.commit_id = random_array<16>();
  TRY(std::move(batch).commit(state));
  return {};
}

}  // namespace

Result<RepairReport> repair_vault(const std::string& directory, const Credential& credential, const Progress& progress) {
  LockedVault vault = TRY(LockedVault::open(directory, credential));
  return repair_locked(vault, progress, Keep::copy);
}

Result<RepairReport> repair_locked(LockedVault& vault, const Progress& progress, Keep keep) {
  RepairReport report;
  const std::string& directory = vault.directory;
  const std::string path = directory + "/data.mdb";
  bool journal_first = false;
  {
    Survey survey = TRY(survey_database(path, *vault.cipher));
    Catalog catalog(survey, *vault.cipher);
    report.before = TRY(check_locked(vault, survey, catalog, {.progress = progress, .ignore_journal = false}));
    if (report.before.findings.empty()) return report;
    if (vault.loaded.copies_differ) {
      TRY(repair_header(directory, vault.loaded));
      report.done.push_back("both copies of the header are the same again");
      vault.loaded.copies_differ = false;
    }
    const bool mendable =
        std::any_of(report.before.findings.begin(), report.before.findings.end(),
                    [](const Finding& found) { return found.repairable && found.part != Part::header; });
    if (report.before.structure_damaged || !survey.state.has_value()) {
      report.done.push_back("the database's structure is damaged and was left as it is: use tain salvage");
      report.remaining = report.before.findings;
      std::erase_if(report.remaining, [](const Finding& found) { return found.part == Part::header; });
      return report;
    }
    if (mendable && keep == Keep::copy) report.kept = TRY(keep_copy(path, survey.file_size));
    journal_first = mendable && keep == Keep::copy && report.before.journal_frames != 0;
    if (mendable && !journal_first) TRY(repair_database(path, vault, survey, catalog, report));
  }
  if (journal_first) {
    TRY(apply_journal(vault, report));
    Survey survey = TRY(survey_database(path, *vault.cipher));
    Catalog catalog(survey, *vault.cipher);
    const CheckReport now = TRY(check_locked(vault, survey, catalog, {.progress = progress, .ignore_journal = false}));
    if (!now.structure_damaged && survey.state.has_value()) TRY(repair_database(path, vault, survey, catalog, report));
  }
  Survey survey = TRY(survey_database(path, *vault.cipher));
  Catalog catalog(survey, *vault.cipher);
  report.remaining =
      TRY(check_locked(vault, survey, catalog, {.progress = progress, .ignore_journal = false})).findings;
  return report;
}

}  // namespace tain::store
