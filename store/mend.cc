// SPDX-License-Identifier: Apache-2.0
#include "store/mend.h"

#include <algorithm>
#include <tuple>

#include "base/secret.h"

namespace tain::store {
namespace {

constexpr uint64_t kCollisionsMax = 16;  // names of one hash (docs/format.md §6.2)

class Mender {
 public:
  Mender(Catalog& catalog, const std::set<uint64_t>& keep, Time now) : catalog_(catalog), keep_(keep), now_(now) {
    const auto& state = catalog.survey().state;
    out_.next_ino = state.has_value() ? state->next_ino : raw(kRootIno) + 1;
    if (!catalog.inodes.empty()) out_.next_ino = std::max(out_.next_ino, catalog.inodes.rbegin()->first + 1);
    if (!keep.empty()) out_.next_ino = std::max(out_.next_ino, *keep.rbegin() + 1);
    for (const CatalogName& name : catalog.names) out_.next_ino = std::max(out_.next_ino, raw(name.dirent.child) + 1);
  }

  Mended run() {
    if (!catalog_.inodes.contains(raw(kRootIno))) {
      make_directory(raw(kRootIno), kRootIno);
      const CatalogInode& root = catalog_.inodes[raw(kRootIno)];
      out_.remarks.push_back("the root directory's own record was lost: it was made anew, owned by " +
                             std::to_string(root.uid) + ":" + std::to_string(root.gid) + " as most entries are");
    }
    make_lost_directories();
    drop_names();
    catalog_.count_names();
    std::vector<uint64_t> nameless;
    for (const auto& [ino, inode] : catalog_.inodes)
      if (ino != raw(kRootIno) && inode.names == 0 && inode.nlink != 0) nameless.push_back(ino);
    for (uint64_t ino : nameless) adopt(ino, "the name of inode " + std::to_string(ino) + " is lost");
    catalog_.count_names();
    open_circles();
    return std::move(out_);
  }

  /// Goes on where run() ended.
  static Ino add_lost_and_found(Catalog& catalog, Mended& mended, Time now) {
    static const std::set<uint64_t> kNone;
    Mender mender(catalog, kNone, now);
    mender.out_ = std::move(mended);
    mender.lost_and_found();
    mended = std::move(mender.out_);
    catalog.count_names();
    return Ino{mended.lost_and_found};
  }

 private:
  /// A directory with an own record anew: its names still are what they were.
  void make_directory(uint64_t ino, Ino parent) {
    Inode inode;
    inode.ino = Ino{ino};
    inode.parent = parent;
    inode.entry.bytes = random_array<16>();
    inode.content.id.bytes = random_array<16>();
    inode.mode = S_IFDIR | 0700;
    inode.nlink = 2;
    const auto root = catalog_.inodes.find(raw(kRootIno));
    std::tie(inode.uid, inode.gid) =
        root != catalog_.inodes.end() ? std::pair(root->second.uid, root->second.gid) : usual_owner();
    if (ino == raw(kRootIno)) inode.flags = kRootKnowsAcls;  // some entry may have one: nobody asked them all
    inode.atime = inode.mtime = inode.ctime = inode.btime = now_;
    CatalogInode& entry = catalog_.inodes[ino];
    entry.mode = inode.mode;
    entry.nlink = inode.nlink;
    entry.uid = inode.uid;
    entry.gid = inode.gid;
    entry.parent = parent;
    out_.new_inodes.push_back(std::move(inode));
  }

  /// Owner and group that most entries have.
  std::pair<uint32_t, uint32_t> usual_owner() const {
    std::map<std::pair<uint32_t, uint32_t>, uint64_t> count;
    for (const auto& item : catalog_.inodes) ++count[{item.second.uid, item.second.gid}];
    const auto most =
        std::max_element(count.begin(), count.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most != count.end() ? most->first : std::pair<uint32_t, uint32_t>();
  }

  void make_lost_directories() {
    std::set<uint64_t> wanted;
    for (const CatalogName& name : catalog_.names) {
      const Dirent& dirent = name.dirent;
      if (!catalog_.inodes.contains(raw(dirent.directory))) wanted.insert(raw(dirent.directory));
      if (dirent.type == dirent_type(S_IFDIR) && !catalog_.inodes.contains(raw(dirent.child)) && !name.stale)
        wanted.insert(raw(dirent.child));
    }
    std::map<uint64_t, Ino> parents;
    for (const CatalogName& name : catalog_.names)
      if (wanted.contains(raw(name.dirent.child))) parents[raw(name.dirent.child)] = name.dirent.directory;
    for (uint64_t ino : wanted) {
      if (keep_.contains(ino)) continue;
      const auto parent = parents.find(ino);
      make_directory(ino, parent != parents.end() ? parent->second : kRootIno);
      lost_directories_.insert(ino);
    }
  }

  /// Directories inside one another keep what is in them, and get another place.
  void open_circles() {
    const std::vector<uint64_t> inside_themselves = catalog_.cut_off();
    if (inside_themselves.empty()) return;
    const std::set<uint64_t> moved(inside_themselves.begin(), inside_themselves.end());
    std::erase_if(catalog_.names, [&](const CatalogName& name) { return moved.contains(raw(name.dirent.child)); });
    for (uint64_t ino : inside_themselves)
      adopt(ino, "directory " + std::to_string(ino) + " was inside itself, where no way from the root led to it");
    catalog_.count_names();
  }

  void drop_names() {
    // Names that are current come first, those that are newer than the commit found before the others: those of older
    // copies, the newest before the others, count as far as an inode still waits for one.
    std::stable_sort(catalog_.names.begin(), catalog_.names.end(), [](const CatalogName& a, const CatalogName& b) {
      if (a.stale != b.stale) return b.stale;
      if (a.newer != b.newer) return a.newer;
      return (a.stale || a.newer) && a.dirent.location_stamp.hlc > b.dirent.location_stamp.hlc;
    });
    catalog_.count_names();
    for (uint64_t ino : lost_directories_)
      out_.lost.push_back({.part = Part::record,
                           .what = "the directory's own record is lost: owner, permissions and times are new",
                           .ino = Ino{ino},
                           .path = catalog_.path(ino)});
    std::map<uint64_t, uint64_t> links;
    std::set<std::pair<uint64_t, std::string>> seen;
    std::vector<bool> stays;
    for (const CatalogName& name : catalog_.names)
      if (!name.stale) {
        ++claims_[raw(name.dirent.child)];
        if (name.newer) ++newer_claims_[raw(name.dirent.child)];
        const auto child = catalog_.inodes.find(raw(name.dirent.child));
        if (child != catalog_.inodes.end() && child->second.is_directory() &&
            child->second.parent == name.dirent.directory)
          at_home_.insert(raw(name.dirent.child));
      }
    for (CatalogName& name : catalog_.names) {
      const bool stay = keep_name(name, links, seen);
      stays.push_back(stay);
      if (stay) ++links[raw(name.dirent.child)];
    }
    std::vector<CatalogName> kept;
    for (size_t i = 0; i < stays.size(); ++i)
      if (stays[i]) kept.push_back(std::move(catalog_.names[i]));
    catalog_.names = std::move(kept);
  }

  bool keep_name(CatalogName& name, const std::map<uint64_t, uint64_t>& links,
                 std::set<std::pair<uint64_t, std::string>>& seen) {
    Dirent& dirent = name.dirent;
    const uint64_t child = raw(dirent.child);
    const auto path = [&] {  // only for who has something to say
      const std::string folder = catalog_.path(raw(dirent.directory));
      return folder + (folder.ends_with('/') ? "" : "/") + dirent.name;
    };
    auto at = catalog_.inodes.find(child);
    if (at == catalog_.inodes.end()) {
      if (keep_.contains(child)) return true;
      if (!name.stale)
        out_.lost.push_back({.part = Part::name,
                             .what = "its inode is lost: content and attributes cannot be found",
                             .ino = dirent.child,
                             .path = path()});
      return false;
    }
    const auto in = catalog_.inodes.find(raw(dirent.directory));
    if (in != catalog_.inodes.end() && !in->second.is_directory()) {
      out_.remarks.push_back("the name " + path() + " is removed: inode " + std::to_string(in->first) +
                             ", which it is in, is no directory");
      return false;
    }
    const auto linked = links.find(child);
    const uint64_t wanted =
        at->second.is_directory() ? (at->second.newer && at->second.nlink == 0 ? 0 : 1) : at->second.nlink;
    // What left the present after the name began has left with it.
    if (name.stale && at->second.past.retired != 0 && dirent.location_stamp.hlc <= at->second.past.retired) return false;
    if (name.stale && (child == raw(kRootIno) || (linked != links.end() && linked->second >= wanted))) return false;
    // A directory has one name, rather the one where its record says that it is.
    const bool has_better = at_home_.contains(child) && at->second.parent != dirent.directory;
    if (at->second.is_directory() && !name.stale &&
        (child == raw(kRootIno) || has_better || (linked != links.end() && linked->second != 0))) {
      out_.remarks.push_back("the name " + path() + " is removed: its directory has another one");
      return false;
    }
    if (!name.stale && !name.newer && at->second.newer && newer_claims_[child] >= wanted) {
      out_.remarks.push_back("the name " + path() + " is removed: its entry was renamed or unlinked after that commit");
      return false;
    }
    if (!seen.emplace(raw(dirent.directory), dirent.name).second) {
      if (!name.stale) out_.remarks.push_back("the name " + path() + " is there twice: the second one is removed");
      return false;
    }
    if (name.stale)
      out_.remarks.push_back("the name " + path() + " is from an older copy: it may have been changed since");
    // Of a page without a header nobody says where its list of nodes ends and what earlier ones left behind begins.
    // Below roots of an earlier commit a name may have been removed since.
    const RecordKey key{raw(dirent.directory), raw(dirent.cookie)};
    const Survey& survey = catalog_.survey();
    if (!name.stale && !name.newer && claims_[child] > wanted &&
        (survey.roots_searched || survey.may_have_lost(Table::dirents, key)))
      out_.remarks.push_back("the name " + path() +
                             " may be an earlier one: its entry has more names than its record says");
    dirent.type = dirent_type(at->second.mode);
    return true;
  }

  bool has_name(uint64_t directory, const std::string& name) const {
    return std::any_of(catalog_.names.begin(), catalog_.names.end(), [&](const CatalogName& other) {
      return raw(other.dirent.directory) == directory && other.dirent.name == name;
    });
  }

  void add_name(Ino directory, const std::string& name, uint64_t child, uint32_t mode) {
    if (cookies_.empty())
      for (const CatalogName& other : catalog_.names)
        cookies_.insert({raw(other.dirent.directory), raw(other.dirent.cookie)});
    uint64_t cookie = catalog_.cipher().name_hash(directory, name);
    const uint64_t end = cookie + kCollisionsMax;
    while (cookie < end && !cookies_.insert({raw(directory), cookie}).second) ++cookie;
    const Dirent dirent{.directory = directory,
                        .cookie = Cookie{cookie},
                        .child = Ino{child},
                        .type = dirent_type(mode),
                        .location_stamp = {},
                        .name = name};
    catalog_.names.push_back({.dirent = dirent, .extent = {}, .stale = false});
    out_.new_names.push_back(dirent);
  }

  uint64_t lost_and_found() {
    if (out_.lost_and_found != 0) return out_.lost_and_found;
    out_.lost_and_found = out_.next_ino++;
    std::string name = kLostAndFound;
    for (int i = 2; has_name(raw(kRootIno), name); ++i) name = std::string(kLostAndFound) + "-" + std::to_string(i);
    make_directory(out_.lost_and_found, kRootIno);
    add_name(kRootIno, name, out_.lost_and_found, S_IFDIR);
    folder_name_ = name;
    return out_.lost_and_found;
  }

  /// `why` it needs a name, for people.
  void adopt(uint64_t ino, const std::string& why) {
    const Ino folder{lost_and_found()};
    CatalogInode& inode = catalog_.inodes[ino];
    if (inode.is_directory()) inode.parent = folder;
    add_name(folder, std::to_string(ino), ino, inode.mode);
    out_.remarks.push_back(why + ": it is now /" + folder_name_ + "/" + std::to_string(ino));
  }

  Catalog& catalog_;
  const std::set<uint64_t>& keep_;
  const Time now_;
  Mended out_;
  std::string folder_name_;
  std::set<uint64_t> lost_directories_;
  std::set<uint64_t> at_home_;                       // directories with a current name where their record says
  std::map<uint64_t, uint64_t> claims_;              // names that are current, by inode
  std::map<uint64_t, uint64_t> newer_claims_;        // those of them that are newer than the commit found
  std::set<std::pair<uint64_t, uint64_t>> cookies_;  // in use; filled when the first name is made
};

}  // namespace

Mended mend_names(Catalog& catalog, const std::set<uint64_t>& keep, Time now) {
  return Mender(catalog, keep, now).run();
}

Ino lost_and_found(Catalog& catalog, Mended& mended, Time now) {
  return Mender::add_lost_and_found(catalog, mended, now);
}

bool mend_counts(const Catalog& catalog, Inode& inode) {
  const auto it = catalog.inodes.find(raw(inode.ino));
  if (it == catalog.inodes.end()) return false;
  const CatalogInode& entry = it->second;
  const Inode before = inode;
  if (!inode.is_directory()) {
    inode.nlink = static_cast<uint32_t>(entry.names);
    return !(inode == before);
  }
  inode.children = entry.entries;
  if (inode.nlink != 0) inode.nlink = static_cast<uint32_t>(2 + entry.subdirectories);
  if (inode.ino == kRootIno)
    inode.parent = kRootIno;
  else if (entry.first_name != ~size_t{0})
    inode.parent = catalog.names[entry.first_name].dirent.directory;
  return !(inode == before);
}

}  // namespace tain::store
