// SPDX-License-Identifier: Apache-2.0
#include "fs/purge.h"

#include <dirent.h>
#include <sys/stat.h>

#include <set>
#include <string>
#include <vector>

#include "store/trash.h"

namespace tain::fs {
namespace {

constexpr int kDepthMax = 2000;  // folders in folders: each takes of the stack

/// What ends the whole; everything else is one entry's trouble.
bool is_fatal(Code code) { return code == Code::no_space || code == Code::io || code == Code::read_only; }

/// Removes names, what is in a directory first, and collects the inodes that are without one.
class Removal {
 public:
  Removal(store::Tree& tree, const Server& server) : tree_(tree), server_(server) {}

  Result<> remove(const Place& place, int depth = 0) {
    if (depth > kDepthMax) return Error(Code::unsupported, "folders are nested too deep");
    const store::Attr attr = TRY(tree_.lookup(place.directory, place.name));
    const bool is_directory = S_ISDIR(attr.mode);
    if (is_directory) TRY(remove_all_in(attr.ino, depth + 1));
    const store::Unlinked gone = TRY(is_directory ? tree_.rmdir(place.directory, place.name) : tree_.unlink(place.directory, place.name));
    server_.unlinked(gone);
    server_.changed(place.directory, place.name);
    const auto left = tree_.getattr(attr.ino);
    if (gone.orphan || left.is(Code::not_found)) {
      ++without_history_;
    } else if (left.ok() && left->nlink == 0) {
      removed_.push_back(attr.ino);
    }
    return {};
  }
  const std::vector<Ino>& removed() const { return removed_; }
  uint64_t without_history() const { return without_history_; }
  uint64_t failed() const { return failed_; }

 private:
  Result<> remove_all_in(Ino directory, int depth) {
    std::vector<std::string> names;
    TRY(tree_.list(directory, Cookie{0}, [&](const store::ListItem& item) {
      names.emplace_back(item.name);
      return true;
    }));
    for (const std::string& name : names) {
      const Result<> done = remove({directory, name}, depth);
      if (!done.ok() && is_fatal(done.error().code())) return done;
      // The directory that it is in then stays, too, and is counted where it is missed.
      if (!done.ok() && !done.is(Code::not_empty)) ++failed_;
    }
    return {};
  }

  store::Tree& tree_;
  const Server& server_;
  std::vector<Ino> removed_;
  uint64_t without_history_ = 0;
  uint64_t failed_ = 0;
};

Result<> purge_all(store::Vault& vault, const std::vector<Ino>& inodes, Purged& out) {
  for (Ino ino : inodes) {
    const auto purged = vault.trash().purge(ino);
    if (!purged.ok() && is_fatal(purged.error().code())) return purged.error();
    ++(purged.ok() && *purged ? out.entries : out.failed);
  }
  return vault.sync();
}

}  // namespace

Result<Purged> purge_present(store::Vault& vault, const Place& place, const Server& server) {
  Removal removal(vault.tree(), server);
  const Result<> done = removal.remove(place);
  // What stays in a folder has been counted, and is why the folder stays.
  if (!done.ok() && !(done.is(Code::not_empty) && removal.failed() > 0)) return done.error();
  Purged out{.entries = removal.without_history(), .failed = removal.failed()};
  TRY(purge_all(vault, removal.removed(), out));
  return out;
}

Result<Purged> purge_removed(store::Vault& vault, const store::PastName& name) {
  const auto items = TRY(vault.trash().list());
  std::set<Ino> found = {name.dirent.child};
  std::set<Ino> directories = found;
  // A directory may be listed after what is in it.
  for (bool is_more = name.dirent.type == DT_DIR; is_more;) {
    is_more = false;
    for (const store::TrashItem& item : items) {
      const store::Dirent& dirent = item.name.dirent;
      if (!directories.contains(dirent.directory) || !found.insert(dirent.child).second) continue;
      if (dirent.type == DT_DIR) is_more |= directories.insert(dirent.child).second;
    }
  }
  // What is in them first: after a crash, or where something stays, its folders still lead to it.
  std::vector<Ino> files;
  for (Ino ino : found)
    if (name.dirent.type != DT_DIR || !directories.contains(ino)) files.push_back(ino);
  Purged out;
  TRY(purge_all(vault, files, out));
  if (name.dirent.type == DT_DIR && out.failed == 0) TRY(purge_all(vault, {directories.begin(), directories.end()}, out));
  return out;
}

}  // namespace tain::fs
