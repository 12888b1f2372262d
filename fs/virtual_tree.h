// SPDX-License-Identifier: Apache-2.0
// The folder .tain in the root of a mount: how the vault was, what is in the trash, and the state of the mount (ADR 14).
//
//     .tain/status.json          what `tain status --json` says
//     .tain/history/PATH/        a folder for each entry of the present, with its states; named by when each began
//     .tain/at/TIME/             the vault as it was then; any text that base/moment understands
//     .tain/trash/               what was removed, by name
//     .tain/conflicts/           empty
//     .tain/removed/NUMBER/      a folder for each inode in the trash, as those in history/; not listed, for tain log and the like
//
// Everything has an inode number from kVirtualFirst on and can only be read. A number stands for one state: content,
// size, mode and times stay the same until the kernel forgets it.
//
// Threads: all methods, concurrently. The vault and the counts outlive this.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "fs/lookups.h"
#include "store/past.h"
#include "store/tree.h"
#include "store/vault.h"

namespace tain::fs {

/// Inode numbers from here on are the virtual tree's. The vault counts its own up from 1.
inline constexpr uint64_t kVirtualFirst = uint64_t{1} << 62;
/// Set in those that the kernel has to ask for again each time: the name may lead elsewhere by then.
inline constexpr uint64_t kVolatileBit = uint64_t{1} << 61;

constexpr bool is_virtual(Ino ino) { return raw(ino) >= kVirtualFirst; }
constexpr bool is_volatile(Ino ino) { return is_virtual(ino) && (raw(ino) & kVolatileBit) != 0; }

/// The HLC that ends with the millisecond `ms`, Unix time.
constexpr uint64_t hlc_of_ms(int64_t ms) { return ms < 0 ? 0 : (static_cast<uint64_t>(ms) << 16) | 0xffff; }
constexpr int64_t ms_of_hlc(uint64_t hlc) { return static_cast<int64_t>(hlc >> 16); }

/// The states of an entry, oldest first, with when each began and what it is called in history/.
struct NamedState {
  std::string name;        // 2026-11-01T10.00.00.123.md; of a damaged one 2026-11-01T10.00.00.123 (damaged).md
  uint64_t since = 0;      // HLC
  store::PastState state;  // as it was when it ended
};
/// Errors: those of PastView::log.
Result<std::vector<NamedState>> named_states(store::Vault& vault, Ino ino, std::string_view extension);
/// What the names of its states end with: `.md`, or nothing.
std::string_view extension_of(std::string_view entry_name);

class VirtualTree {
 public:
  static constexpr std::string_view kName = ".tain";

  struct Options {
    std::function<std::string()> status = {};  // the content of status.json
    std::optional<uint64_t> root_hlc = {};  // the root of the file system is the vault as of then, and there is no .tain
  };
  VirtualTree(store::Vault& vault, Lookups& lookups, Options options);
  ~VirtualTree();
  VirtualTree(const VirtualTree&) = delete;
  VirtualTree& operator=(const VirtualTree&) = delete;

  /// The folder .tain. Counts as a lookup.
  Result<store::Attr> top();
  /// Counts as a lookup. Errors: not_found, not_directory.
  Result<store::Attr> lookup(Ino directory, std::string_view name);
  /// The same of an inode that was just listed. Errors: not_found.
  Result<store::Attr> acquire(Ino ino);
  /// The kernel has forgotten `ino`.
  void drop(Ino ino);

  /// Errors: stale, for what the kernel should have forgotten.
  Result<store::Attr> getattr(Ino ino);
  Result<std::string> readlink(Ino ino);
  /// Short only at the end. Errors: is_directory, stale (the state was never kept, or was pruned meanwhile), corrupt, io.
  Result<size_t> read(Ino ino, uint64_t offset, ByteSpan out);
  Result<store::Xattrs> xattrs(Ino ino);
  /// The inode of the vault that a state is of; nothing for what is no state.
  std::optional<Ino> origin(Ino ino);
  /// The whole file counts as data. Errors: no_such_offset.
  Result<uint64_t> seek(Ino ino, uint64_t offset, bool hole);

  struct Item {
    std::string_view name;
    Ino ino{};
    uint8_t type = 0;     // DT_*
    uint64_t offset = 0;  // pass it to list() to go on after this item
  };
  /// As Filesystem::list. From 0 on a new look at the directory.
  Result<> list(Ino directory, uint64_t offset, const std::function<bool(const Item&)>& take);

 private:
  enum class Kind : uint8_t { top, status, history, entry, at, folder, trash, conflicts, state, removed };
  struct Key {
    Kind kind = Kind::top;
    bool is_volatile = false;
    std::array<uint64_t, 4> of{};
    bool operator==(const Key&) const = default;
  };
  struct Name;
  struct Listing;
  struct Node;
  // Shared by the table, for as long as the kernel may ask, and by the request under way.
  using NodePtr = std::shared_ptr<Node>;

  Result<NodePtr> find(Ino ino);
  /// The node of `made.key`: one that is there already, or a new one.
  NodePtr intern(Node made, Ino parent);
  store::Attr counted(Node& node);
  store::Attr shown(const Node& node) const;

  Result<NodePtr> child(const NodePtr& directory, std::string_view name);
  NodePtr fixed(Kind kind, Ino parent);
  NodePtr status(Ino parent);
  NodePtr history_folder(const store::Attr& directory, Ino parent);
  Result<NodePtr> present(const store::Attr& attr, std::string_view name, Ino parent);
  Result<NodePtr> entry_folder(const store::Attr& attr, std::string_view name, Ino parent);
  Result<NodePtr> removed_folder(std::string_view number, Ino parent);
  Result<NodePtr> folder_at(Ino ino, uint64_t hlc, bool is_volatile, Ino parent);
  Result<NodePtr> past_entry(store::PastState state, uint64_t hlc, bool is_volatile, Ino parent);
  NodePtr state_node(store::PastState state, bool is_volatile, Ino parent);
  NodePtr damaged_node(store::PastState state, Ino parent);
  Result<NodePtr> at_time(std::string_view text, Ino parent);
  uint64_t settled(std::string_view text, int64_t ms);

  Result<std::shared_ptr<const Listing>> look_at(const Node& directory);
  Result<NodePtr> resolve(const Node& directory, const Name& name);
  Result<> look_at_trash(Listing& out);
  void look_at_times(Listing& out);
  /// `is_recent`: one that is a moment old will do.
  Result<std::shared_ptr<const Listing>> trash_listing(bool is_recent);
  uint64_t trash_fingerprint() const;
  uint64_t number_of(const Key& key) const;

  Result<size_t> read_state(Node& node, uint64_t offset, ByteSpan out);
  bool is_untouched(const Node& node, const store::PastState& state);
  Result<bool> is_still_present(Node& node, const store::PastState& state);
  /// Finds what has become of a state that was the present one. Errors: stale.
  Result<> find_again(Node& node, const store::PastState& state);

  store::Vault& vault_;
  Lookups& lookups_;
  const Options options_;
  store::Attr owner_;  // of the vault's root
  store::Time made_;

  mutable std::mutex mutex_;  // a leaf, but for the counts' own; guards what follows and the changeable part of nodes
  std::unordered_map<uint64_t, NodePtr> nodes_;
  std::deque<Ino> idle_;  // listed and perhaps not looked up since
  struct Settled {
    std::string text;
    uint64_t hlc = 0;
    int64_t used_ms = 0;
  };
  std::vector<Settled> settled_;
  std::string status_text_;  // the last one
  uint64_t status_number_ = 0;
  int64_t status_made_ms_ = 0, status_used_ms_ = 0;
  std::shared_ptr<const Listing> trash_;  // shared as a node's
  uint64_t trash_fingerprint_ = 0;        // of the trash that is listed there
  int64_t trash_made_ms_ = 0;             // when it was
  uint64_t trash_seen_ = 0;               // the fingerprint that the folder's mtime is of
  store::Time trash_changed_;
};

}  // namespace tain::fs
