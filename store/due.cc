// SPDX-License-Identifier: Apache-2.0
// What would go from the trash and from entries' pasts, with its paths (Trash::for_each_due).
#include <dirent.h>

#include <algorithm>
#include <set>

#include "store/superfluous.h"
#include "store/trash.h"
#include "store/working_set.h"

namespace tain::store {
namespace {

constexpr size_t kDepthMax = 100'000;

struct Folder {
  Ino ino{};
  std::string path;  // ends with a slash
};

/// What the walk needs of an entry.
struct Entry {
  Ino ino{};
  std::string path;
  bool is_directory = false;
};

class DueWalk {
 public:
  DueWalk(WorkingSet& set, const RetentionPolicy& policy, int64_t now_s, const std::function<bool(const DueState&)>& take)
      : set_(set), policy_(with_nothing_for_zero(policy)), now_s_(now_s), take_(take) {}

  /// Everything that is present. False: `take` has had enough.
  Result<bool> tree() {
    if (!TRY(states({.ino = kRootIno, .path = "/"}))) return false;
    for (std::vector<Folder> waiting{{kRootIno, "/"}}; !waiting.empty();) {
      const Folder folder = std::move(waiting.back());
      waiting.pop_back();
      for (Entry& entry : TRY(entries_of(folder))) {
        if (!TRY(states(entry))) return false;
        if (entry.is_directory) waiting.push_back({entry.ino, entry.path + "/"});
      }
    }
    return true;
  }

  /// An entry of the trash, with all of its past if it goes itself.
  Result<bool> trash(const Entry& entry) {
    Inode record;
    {
      auto lock = set_.lock();
      auto inode = set_.find(entry.ino);
      if (!inode.ok() || !is_trash((*inode)->record)) return true;
      record = (*inode)->record;
    }
    if (now_s_ - seconds_of(record.past.retired) <= policy_.trash_s) return states(entry);
    if (record.past.successors != 0) return true;  // it leaves the trash and stays what it was for another entry
    auto log = PastView(set_).log(entry.ino);
    if (!log.ok()) return skip(log.error());
    for (const PastState& state : *log)
      if (!take_({entry.path, state.ended_hlc, state.inode.content.size, true, &state == &log->front()})) return false;
    return true;
  }

 private:
  /// The former states of one entry that go.
  Result<bool> states(const Entry& entry) {
    {
      auto lock = set_.lock();
      auto inode = set_.find(entry.ino);
      if (!inode.ok() || ((*inode)->record.flags & (kInodeHasPast | kInodeHasVersions)) == 0) return true;
      if ((*inode)->record.nlink > 1 && !entry.is_directory && !seen_.insert(entry.ino).second) return true;
    }
    auto log = PastView(set_).log(entry.ino);
    if (!log.ok()) return skip(log.error());
    for (size_t i : superfluous(*log, policy_.states, now_s_))
      if (!take_({entry.path, (*log)[i].ended_hlc, (*log)[i].inode.content.size})) return false;
    return true;
  }

  Result<std::vector<Entry>> entries_of(const Folder& folder) {
    std::vector<Entry> out;
    Cookie after{0};
    for (bool end = false; !end;) {
      auto lock = set_.lock();
      WorkingSet::Listing listing = TRY(set_.list(folder.ino, after, WorkingSet::kListChunk));
      for (const Dirent& dirent : listing.entries)
        out.push_back({dirent.child, folder.path + dirent.name, dirent.type == DT_DIR});
      after = listing.reached;
      end = listing.end;
    }
    std::sort(out.begin(), out.end(), [](const Entry& a, const Entry& b) { return a.path < b.path; });
    return out;
  }

  /// One damaged entry hides none of the others.
  static Result<bool> skip(const Error& error) {
    if (error.code() == Code::corrupt || error.code() == Code::not_found) return true;
    return Error(error);
  }

  WorkingSet& set_;
  const RetentionPolicy policy_;
  const int64_t now_s_;
  const std::function<bool(const DueState&)>& take_;
  std::set<Ino> seen_;  // of those with several names
};

}  // namespace

/// As far as it can be known: a directory that is in the trash, too, under its last name. Ends with a slash.
Result<std::string> Trash::path_of(Ino directory) {
  std::vector<std::string> parts;
  for (size_t depth = 0; directory != kRootIno && depth < kDepthMax; ++depth) {
    std::string name = "?";
    auto lock = set_.lock();
    auto inode = set_.find(directory);
    if (!inode.ok()) {
      parts.push_back(name);
      break;
    }
    const Ino parent = (*inode)->record.parent;
    if ((*inode)->record.is_retired()) {
      for (const PastName& past : TRY(set_.past_names(parent, 0)))
        if (past.dirent.child == directory) name = past.dirent.name;
    } else {
      Cookie after{0};
      for (bool end = false; !end && name == "?";) {
        const WorkingSet::Listing listing = TRY(set_.list(parent, after, WorkingSet::kListChunk));
        for (const Dirent& dirent : listing.entries)
          if (dirent.child == directory) name = dirent.name;
        after = listing.reached;
        end = listing.end;
      }
    }
    parts.push_back(std::move(name));
    directory = parent;
  }
  std::string out = "/";
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) out += *part + "/";
  return out;
}

int64_t Trash::now_s() {
  auto lock = set_.lock();
  return set_.age_now_s();
}

Result<> Trash::for_each_due(const RetentionPolicy& policy, const std::function<bool(const DueState&)>& take) {
  DueWalk walk(set_, policy, now_s(), take);
  if (!TRY(walk.tree())) return {};
  std::vector<PastName> names = TRY(all_past_names());
  std::set<Ino> seen;
  Folder folder;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (name->why != NameEnd::removed || !seen.insert(name->dirent.child).second) continue;
    if (folder.path.empty() || folder.ino != name->dirent.directory)
      folder = {name->dirent.directory, TRY(path_of(name->dirent.directory))};
    const Entry entry{name->dirent.child, folder.path + name->dirent.name, name->dirent.type == DT_DIR};
    if (!TRY(walk.trash(entry))) return {};
  }
  return {};
}

}  // namespace tain::store
