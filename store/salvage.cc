// SPDX-License-Identifier: Apache-2.0
#include "store/salvage.h"

#include <algorithm>

#include "base/clock.h"
#include "store/carve.h"
#include "store/content.h"
#include "store/header_file.h"
#include "store/salvage_journal.h"
#include "store/salvage_place.h"
#include "store/salvage_writer.h"
#include "store/tree.h"
#include "store/vault.h"

namespace tain::store {
namespace {

constexpr size_t kXattrTextMax = 4096;  // bytes of the list of damaged ranges

Time now() {
  const int64_t wall_ns = system_clock().wall_ns();
  return {.seconds = wall_ns / 1'000'000'000, .nanoseconds = static_cast<uint32_t>(wall_ns % 1'000'000'000)};
}

/// What the attribute of a salvaged file says: ranges that read as zeros, then those that may be outdated.
std::string ranges_text(const FileReport& file) {
  std::string out;
  for (const auto& [ranges, kind] : {std::pair(&file.damaged, ""), std::pair(&file.doubtful, "maybe-outdated ")}) {
    for (const ByteRange& range : *ranges) {
      const std::string text = kind + std::to_string(range.begin) + "-" + std::to_string(range.end - 1);
      if (out.size() + text.size() + 5 > kXattrTextMax) return out + " …";
      out += (out.empty() ? "" : " ") + text;
    }
  }
  return out;
}

class Salvager {
 public:
  Salvager(Catalog& catalog, const Cipher& cipher, Suite suite, SalvageWriter& out, SalvageReport& report)
      : catalog_(catalog), cipher_(cipher), suite_(suite), out_(out), report_(report) {}

  Result<> run(const std::set<uint64_t>& in_journal, const Progress& progress) {
    drop_stale_inodes();
    std::set<uint64_t> keep;
    for (uint64_t ino : in_journal)
      if (!catalog_.inodes.contains(ino)) keep.insert(ino);
    Mended mended = mend_names(catalog_, keep, now());
    report_.damaged.insert(report_.damaged.end(), mended.lost.begin(), mended.lost.end());
    report_.remarks.insert(report_.remarks.end(), mended.remarks.begin(), mended.remarks.end());
    report_.entries_lost = static_cast<uint64_t>(std::count_if(
        mended.lost.begin(), mended.lost.end(), [](const Finding& found) { return found.part == Part::name; }));
    out_.state().next_ino = std::max(out_.state().next_ino, mended.next_ino);

    uint64_t total = 0, done = 0;
    for (const auto& [ino, inode] : catalog_.inodes) total += inode.size;
    std::set<uint64_t> made;
    for (Inode& inode : mended.new_inodes) {
      made.insert(raw(inode.ino));
      TRY(put_inode(inode, {}));
    }
    for (const auto& [ino, entry] : catalog_.inodes) {
      if (made.contains(ino)) continue;
      // Deleted, but still in use when the vault was closed; unless the journal may give it a name.
      if (entry.nlink == 0 && entry.names == 0 && !in_journal.contains(ino)) continue;
      TRY(copy_entry(ino, entry));
      done += entry.size;
      if (progress) progress(done, total);
    }
    for (const CatalogName& name : catalog_.names)
      TRY(out_.put_record(Table::dirents, dirent_key(name.dirent.directory, name.dirent.cookie), Kind::dirent,
                          kDirentSchema, encode_dirent(name.dirent)));
    out_.state().content_bytes = content_bytes_;
    return out_.finish();
  }
  /// Inodes of the old vault that the new one has.
  const std::set<uint64_t>& copied() const { return copied_; }

 private:
  /// Older copies of inodes count as far as inodes are missing, and names lead to them.
  void drop_stale_inodes() {
    std::set<uint64_t> named;
    for (const CatalogName& name : catalog_.names) named.insert(raw(name.dirent.child));
    for (auto it = catalog_.inodes.begin(); it != catalog_.inodes.end();) {
      if (it->second.stale && !named.contains(it->first) && it->first != raw(kRootIno)) {
        it = catalog_.inodes.erase(it);
        continue;
      }
      if (it->second.stale) stale_.insert(it->first);
      ++it;
    }
    catalog_.count_names();
  }

  Result<> copy_entry(uint64_t ino, const CatalogInode& entry) {
    auto loaded = catalog_.load_inode(ino);
    if (!loaded.ok()) return std::move(loaded).error();
    Inode inode = std::move(*loaded);
    copied_.insert(ino);
    ++report_.entries;
    if (stale_.contains(ino))
      report_.remarks.push_back(catalog_.path(ino) + " is from an older copy: it may have been changed since");
    Xattrs xattrs;
    // The flag may be what is wrong: it only says whether something is lost.
    auto found = catalog_.load_xattrs(ino);
    if (found.ok()) xattrs = std::move(*found);
    if (xattrs.empty() && (inode.flags & kInodeHasXattrs) != 0)
      lose(ino, Part::record, "its extended attributes are lost");
    if (catalog_.survey().doubtful_xattrs.contains(ino))
      report_.remarks.push_back(catalog_.path(ino) +
                                ": which of several records of its extended attributes is the newest is not known");
    if (entry.newer && entry.is_directory() && entry.entries > entry.children)
      report_.remarks.push_back(catalog_.path(ino) + " has " + std::to_string(entry.entries - entry.children) +
                                " more than its newest record says: some of what is in it was removed or renamed");
    xattrs.erase(kDamagedXattr);
    if (entry.wrong_allocated || inode.is_regular()) TRY(copy_content(inode, xattrs));
    mend_counts(catalog_, inode);
    return put_inode(inode, xattrs);
  }

  Result<> put_inode(Inode& inode, const Xattrs& xattrs) {
    mend_counts(catalog_, inode);
    inode.flags = xattrs.empty() ? 0 : kInodeHasXattrs;
    inode.past = {};  // of the past only what stands in the present is salvaged
    if (inode.ino == kRootIno) inode.flags |= kRootKnowsAcls;  // some entry may have one: nobody asked them all
    content_bytes_ += inode.content.size;
    const auto key = ino_key(inode.ino);
    if (inode.nlink == 0) TRY(out_.put_record(Table::orphans, key, Kind::orphan, kOrphanSchema, {}));
    TRY(out_.put_record(Table::inodes, key, Kind::inode, kInodeSchema, encode_inode(inode)));
    if (xattrs.empty()) return {};
    return out_.put_record(Table::xattrs, key, Kind::xattrs, kXattrsSchema, encode_xattrs(inode.ino, xattrs));
  }

  Result<> copy_content(Inode& inode, Xattrs& xattrs) {
    std::vector<FoundBlock> blocks;
    FileReport file = check_file(catalog_.finder(), inode, &blocks);
    use_replaced_content(inode, file, blocks);
    ContentRecord content{.id = inode.content.id, .size = inode.content.size, .allocated = 0, .height = 0, .root = {}};
    MapChanges changes;
    for (const FoundBlock& block : blocks) {
      auto ref = TRY(copy_block(content.id, block));
      if (ref.has_value()) changes.blocks.emplace(block.index, std::move(ref));
    }
    NodeWriter nodes(*this, content.id);
    TRY(change_map(content, changes, nodes));
    inode.content = std::move(content);
    for (Finding found : file.findings) {
      if (found.end == 0) continue;
      found.ino = inode.ino;
      found.path = catalog_.path(raw(inode.ino));
      report_.damaged.push_back(std::move(found));
    }
    if (file.damaged.empty() && file.doubtful.empty()) return {};
    ++report_.files_incomplete;
    const std::string text = ranges_text(file);
    xattrs[kDamagedXattr] = Bytes(text.begin(), text.end());
    return {};
  }

  /// Where nothing of a newer record's content is left, that of the commit found is better than zeros.
  void use_replaced_content(Inode& inode, FileReport& file, std::vector<FoundBlock>& blocks) {
    const ByteRange whole{0, inode.content.size};
    if (file.damaged != std::vector{whole}) return;
    const auto replaced = catalog_.load_replaced_inode(raw(inode.ino));
    if (!replaced.ok() || replaced->content.size == 0) return;
    std::vector<FoundBlock> older_blocks;
    FileReport older = check_file(catalog_.finder(), *replaced, &older_blocks);
    if (!older.damaged.empty() || !older.doubtful.empty()) return;
    lose(raw(inode.ino), Part::content, "its newest content is lost: that of an earlier commit stands in");
    inode.content = replaced->content;
    inode.content_stamp = replaced->content_stamp;
    inode.parents = replaced->parents;
    inode.mtime = replaced->mtime;
    file = std::move(older);
    blocks = std::move(older_blocks);
  }

  /// The block as it is, or, if cells of it are lost, what is left of it as a new one.
  Result<std::optional<BlockRef>> copy_block(const ContentId& content, const FoundBlock& block) {
    if (block.bad == 0) {
      TRY(copy_value(content, block.index, block.ref));
      for (const Patch& patch : block.ref.patches) TRY(copy_value(content, block.index, stored_ref(patch)));
      return std::optional<BlockRef>(block.ref);
    }
    CellMask bad = 0;
    const Bytes plain = compose_block(catalog_.finder(), content, block.index, block.ref, bad);
    if (std::all_of(plain.begin(), plain.end(), [](uint8_t byte) { return byte == 0; }))
      return std::optional<BlockRef>();
    const BlockPlace place{.content = content, .id = out_.new_block_id(), .level = 0, .index = block.index};
    const SealedBlock sealed = cipher_.seal_block(suite_, place, Kind::data_block, plain);
    TRY(out_.put_block(place.id, sealed.value));
    return std::optional<BlockRef>(sealed.ref);
  }

  Result<> copy_value(const ContentId& content, uint64_t index, const BlockRef& ref) {
    const BlockPlace place{.content = content, .id = ref.id, .level = 0, .index = index};
    const auto opened = catalog_.finder().open(place, ref, Kind::data_block);
    Bytes value = TRY(catalog_.survey().read(opened.extent));
    // A damaged checksum over a good seal is made right.
    const auto checksum =
        value_checksum(Table::blocks, block_key(ref.id), ByteView(value).first(value.size() - kChecksumSize));
    std::copy(checksum.begin(), checksum.end(), value.end() - kChecksumSize);
    return out_.put_block(ref.id, value);
  }

  void lose(uint64_t ino, Part part, std::string what) {
    report_.damaged.push_back({.part = part, .what = std::move(what), .ino = Ino{ino}, .path = catalog_.path(ino)});
  }

  /// Map nodes are made anew; nothing is read back, because the map begins empty.
  class NodeWriter final : public MapWriter {
   public:
    NodeWriter(Salvager& owner, const ContentId& content) : owner_(owner), content_(content) {}
    Result<std::shared_ptr<const RefList>> read_node(const BlockPlace&, const BlockRef& ref) override {
      auto it = nodes_.find(ref.id);
      if (it == nodes_.end()) return Error(Code::not_found, "map node");
      return it->second;
    }
    Result<BlockRef> write_node(uint8_t level, uint64_t index, const RefList& node) override {
      const BlockPlace place{
          .content = content_, .id = owner_.out_.new_block_id(), .level = level, .index = index};
      SealedBlock sealed = owner_.cipher_.seal_block(owner_.suite_, place, Kind::map_node, encode_refs(node));
      TRY(owner_.out_.put_block(place.id, sealed.value));
      nodes_.emplace(place.id, std::make_shared<const RefList>(node));
      return sealed.ref;
    }
    Result<> release(const BlockRef&, uint8_t, uint64_t) override { return {}; }

   private:
    Salvager& owner_;
    const ContentId content_;
    std::unordered_map<BlockId, std::shared_ptr<const RefList>> nodes_;
  };

  Catalog& catalog_;
  const Cipher& cipher_;
  const Suite suite_;
  SalvageWriter& out_;
  SalvageReport& report_;
  uint64_t content_bytes_ = 0;
  std::set<uint64_t> stale_;
  std::set<uint64_t> copied_;
};

/// Whether the vault has content that this processor cannot read. It would be left out as if it were damaged.
Result<> check_suites(const Survey& survey) {
  if (suite_available(Suite::aes_256_gcm)) return {};
  for (const StoredValue& stored : survey.values(Table::blocks)) {
    auto head = survey.read({stored.extent.offset, std::min<uint64_t>(stored.extent.size, kBlockHeaderSize)});
    if (!head.ok() || head->size() < kBlockHeaderSize || Suite{(*head)[1]} != Suite::aes_256_gcm) continue;
    const auto value = survey.read(stored.extent);  // a flipped bit does not count
    if (!value.ok() || !checksum_matches(Table::blocks, encode_key(Table::blocks, stored.key), *value)) continue;
    return Error(Code::suite_missing,
                 "the vault has content sealed with aes-256-gcm, which this computer's processor lacks")
        .hint("salvage it on a computer whose processor has AES");
  }
  return {};
}

/// After carve(): what was lost by not knowing the newest roots.
void report_roots(const Survey& survey, SalvageReport& report) {
  if (survey.snapshot.has_value() && !survey.roots_are_earlier) {
    report.remarks.push_back(
        "the roots of the database's tables had to be searched for; nothing is newer than they are");
    return;
  }
  uint64_t newer = 0;
  for (const auto& values : survey.tables)
    newer += static_cast<uint64_t>(
        std::count_if(values.begin(), values.end(), [](const StoredValue& value) { return value.newer; }));
  std::string what = "the newest roots of the database's tables are lost";
  if (survey.snapshot.has_value())
    what += ": those found may be of an earlier commit; " + std::to_string(newer) +
            " newer records were found beside them; other changes of the last second before the vault was closed may "
            "be missing, and what they removed may be there again";
  report.damaged.push_back({.part = Part::database, .what = std::move(what)});
}

std::string report_text(const SalvageReport& report) {
  std::string out = "tain salvage\n\nentries found: " + std::to_string(report.entries) +
                    "\nentries lost: " + std::to_string(report.entries_lost) +
                    "\nfiles with damaged parts: " + std::to_string(report.files_incomplete) + "\n\n";
  for (const Finding& found : report.damaged) out += (found.path.empty() ? "" : found.path + ": ") + found.what + "\n";
  for (const std::string& remark : report.remarks) out += remark + "\n";
  if (report.damaged.empty() && report.remarks.empty()) out += "nothing was damaged\n";
  out += "\nDamaged parts of files read as zeros; the attribute " + std::string(kDamagedXattr) +
         " of such a file lists them. Parts listed as maybe-outdated read, but newer changes to them may be lost.\n";
  return out;
}

Result<> write_report(const std::string& directory, const MasterKey& master, const SalvageReport& report) {
  auto vault = TRY(Vault::open(directory, OpenOptions(), master));
  std::string name = kSalvageReport;
  for (int i = 2; vault->tree().lookup(kRootIno, name).ok(); ++i) name = "SALVAGE-REPORT-" + std::to_string(i) + ".txt";
  const Attr root = TRY(vault->tree().getattr(kRootIno));
  const NewInode fresh{.mode = S_IFREG | 0600, .uid = root.uid, .gid = root.gid, .rdev = 0, .symlink = {}};
  const Attr file = TRY(vault->tree().make(kRootIno, name, fresh));
  TRY(vault->content().write(file.ino, 0, as_bytes(report_text(report))));
  return vault->close();
}

}  // namespace

Result<SalvageReport> salvage_vault(const std::string& from, const std::string& to, const Credential& credential,
                                    const Progress& progress) {
  const LockedVault vault = TRY(LockedVault::open(from, credential));
  return salvage_locked(vault, to, progress);
}

Result<SalvageReport> salvage_locked(const LockedVault& vault, const std::string& place, const Progress& progress) {
  SalvageReport report;
  const std::string& from = vault.directory;
  const LoadedHeader& loaded = vault.loaded;
  const Cipher& cipher = *vault.cipher;
  Workplace work = TRY(Workplace::make(place));
  const std::string& to = work.path();
  if (loaded.copies_differ) report.remarks.push_back(loaded.complaint);

  Survey survey = TRY(survey_database(from + "/data.mdb", cipher));
  TRY(check_suites(survey));
  const bool position_known = survey.state.has_value() && !survey.roots_searched;
  const std::vector<CarvedBlock> carved = TRY(carve(survey, cipher, progress));
  if (survey.roots_searched) report_roots(survey, report);
  Catalog catalog(survey, cipher);
  for (const CarvedBlock& block : carved) catalog.finder().add_carved(block.nonce, block.offset);
  catalog.read(progress);

  State state = survey.state.value_or(State{});
  if (!survey.state.has_value()) {
    state.journal_chain = random_array<32>();
    state.device = random_array<16>();
  }
  state.sets = {};
  const InJournal in_journal =
      TRY(copy_journal(from + "/journal", to + "/journal", catalog, position_known, state, report));
  state.next_ino = std::max(state.next_ino, in_journal.next_ino);
  std::set<uint64_t> remade;  // by the journal alone, although the database had them
  {
    auto env = TRY(Env::open(to + "/data.mdb", {.map_size_bytes = 0, .create = true}));
    Database database(*env, cipher, uint64_t{1} << 20);
    SalvageWriter out(database, state);
    const Suite suite = suite_available(loaded.header.suite) ? loaded.header.suite : Suite::xchacha20_poly1305;
    Salvager salvager(catalog, cipher, suite, out, report);
    TRY(salvager.run(in_journal.inodes, progress));
    // Where the last commit's numbers are not known, whatever was not copied may have had more than the journal knows.
    for (uint64_t ino : in_journal.inodes)
      if (!salvager.copied().contains(ino) && (!position_known || ino < survey.state->next_ino)) remade.insert(ino);
  }
  TRY(save_header(to, loaded.bytes));
  TRY(replay_journal(to, vault.master, remade, report));
  TRY(write_report(to, vault.master, report));
  TRY(std::move(work).finish());
  return report;
}

}  // namespace tain::store
