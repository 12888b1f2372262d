// SPDX-License-Identifier: Apache-2.0
#include "store/salvage_journal.h"

#include <algorithm>

#include "base/file.h"
#include "base/secret.h"
#include "store/cells.h"
#include "store/journal.h"
#include "store/repair.h"
#include "store/tree.h"
#include "store/vault.h"

namespace tain::store {
namespace {

void collect_inodes(ByteView payload, InJournal& out) {
  Reader r(payload);
  while (r.remaining() > 0 && !r.failed()) {
    switch (r.u8()) {  // docs/format.md §7
      case 1: {
        out.next_ino = std::max(out.next_ino, r.u64());
        r.u64();
        auto inode = decode_inode(r.string32());
        if (!inode.ok()) break;
        out.inodes.insert(raw(inode->ino));
        if (raw(inode->past.previous) != 0) out.previous[raw(inode->past.previous)] = inode->past.since;
        out.changes.emplace_back(raw(inode->ino), std::max(inode->attribute_stamp.hlc, inode->content_stamp.hlc));
        break;
      }
      case 2: r.raw(8); break;
      case 3:
      case 5:
      case 9: r.string32(); break;
      case 4:
      case 7:
      case 10: r.raw(16); break;
      case 6: {
        r.raw(16);
        const size_t length = r.u32();
        const uint16_t cells = r.u16();
        if (length > kBlockSize) return;
        for (size_t start = 0; start < length; start += kCellSize)
          if ((cells >> (start / kCellSize) & 1) != 0) r.raw(std::min(kCellSize, length - start));
        break;
      }
      case 8: r.raw(28); break;
      default: return;
    }
  }
}

/// Without a state record nobody says which frames the database has. A frame is newer than the database if it knows of
/// each inode's last commit; an old one, which would undo changes, does not.
bool is_newer(const InJournal& journal, const Catalog& catalog) {
  const uint64_t last = catalog.inodes.empty() ? 0 : catalog.inodes.rbegin()->first;
  return std::all_of(journal.changes.begin(), journal.changes.end(), [&](const auto& change) {
    auto it = catalog.inodes.find(change.first);
    if (it != catalog.inodes.end()) return change.second >= it->second.hlc;
    return change.first > last || catalog.survey().may_have_lost(Table::inodes, {change.first, 0});
  });
}

}  // namespace

Result<InJournal> copy_journal(const std::string& from, const std::string& to, const Catalog& catalog,
                               bool position_known, State& state, SalvageReport& report) {
  InJournal out;
  auto lose = [&](const std::string& why) {
    report.damaged.push_back({.part = Part::journal,
                              .what = why + ": changes of the last second before the vault was closed may be missing"});
  };
  auto bytes = read_file(from, kJournalSize * 2);
  if (!bytes.ok()) {
    lose("the journal is missing or cannot be read");
    TRY(Journal::create(to));
    return out;
  }
  TRY(replace_file(to, *bytes));
  const auto begin_at_first_frame = [&] {
    Reader frame(*bytes);  // docs/format.md §7
    frame.raw(16);
    state.journal_sequence = frame.u64() - 1;
    state.journal_chain = frame.array<32>();
  };
  const auto replay = [&]() -> Result<Journal::ReplayReport> {
    out = {};
    auto journal = TRY(Journal::open(from, catalog.cipher()));
    return journal->replay({.sequence = state.journal_sequence, .chain = state.journal_chain},
                           [&](ByteView payload) -> Result<> {
                             collect_inodes(payload, out);
                             return {};
                           });
  };
  const bool any_state = catalog.survey().state.has_value();
  if (!any_state) begin_at_first_frame();
  auto replayed = TRY(replay());
  if (any_state && !position_known && replayed.frames == 0 && replayed.damaged) {
    begin_at_first_frame();  // the frames follow a later commit than that state's
    replayed = TRY(replay());
  }
  if (replayed.damaged) lose("the journal is damaged");
  if (position_known || replayed.frames == 0) return out;
  if (is_newer(out, catalog)) {
    report.remarks.push_back(
        "the state record is lost: the journal was applied as far as it is newer than the entries");
    return out;
  }
  fill_random(state.journal_chain);
  lose("the state record is lost, and the journal is older than the entries");
  return InJournal();
}

Result<> replay_journal(const std::string& directory, const MasterKey& master, const std::set<uint64_t>& remade,
                        SalvageReport& report) {
  {
    OpenOptions options;  // without history: nothing of this is a change of somebody's
    options.warn = [&report](const std::string& message) { report.remarks.push_back(message); };
    auto vault = TRY(Vault::open(directory, options, master));
    for (uint64_t ino : remade) {
      auto attr = vault->tree().getattr(Ino{ino});
      if (!attr.ok() || !S_ISREG(attr->mode) || attr->size == 0) continue;
      const std::string text = "0-" + std::to_string(attr->size - 1);
      TRY(vault->tree().set_xattr(Ino{ino}, kDamagedXattr, as_bytes(text), XattrMode::any));
      ++report.files_incomplete;
      report.damaged.push_back(
          {.part = Part::content,
           .what = "inode " + std::to_string(ino) + ": only its last changes were found, in the journal",
           .ino = Ino{ino},
           .begin = 0,
           .end = attr->size});
    }
    TRY(vault->close());
  }
  LockedVault vault = TRY(LockedVault::open(directory, master));
  const RepairReport repaired = TRY(repair_locked(vault, {}, Keep::nothing));
  report.remarks.insert(report.remarks.end(), repaired.done.begin(), repaired.done.end());
  return {};
}

}  // namespace tain::store
