// SPDX-License-Identifier: Apache-2.0
#include "tests/store/damage_scene.h"

#include <algorithm>
#include <filesystem>

#include "store/catalog.h"
#include "store/header_file.h"
#include "store/salvage.h"
#include "tests/support/audit.h"

namespace tain::test {

using namespace store;

namespace {

constexpr uint8_t kDirectoryType = 4;

}  // namespace

std::string random_text(Dice& dice, uint64_t size) {
  std::string out(size, ' ');
  for (char& c : out) c = static_cast<char>('a' + dice.below(26));
  return out;
}

void walk(Vault& vault, Ino directory, const std::string& path, Walked& out) {
  std::vector<std::pair<std::string, Ino>> items;
  auto listed = vault.tree().list(directory, Cookie{0}, [&](const ListItem& item) {
    items.emplace_back(item.name, item.ino);
    return true;
  });
  if (!listed.ok()) out.incomplete_listing = true;
  for (const auto& [name, ino] : items) {
    const std::string child = path + name;
    auto attr = vault.tree().lookup(directory, name);
    if (!attr.ok()) {
      out.refused.insert(child);
      continue;
    }
    if (S_ISDIR(attr->mode)) {
      out.entries[child + "/"] = "";
      walk(vault, attr->ino, child + "/", out);
      continue;
    }
    std::string content;
    if (S_ISLNK(attr->mode)) {
      auto target = vault.tree().readlink(attr->ino);
      if (target.ok())
        content = *target;
      else
        out.refused.insert(child);
    } else {
      content.resize(attr->size);
      for (uint64_t at = 0; at < attr->size; at += 4096) {
        const uint64_t size = std::min<uint64_t>(4096, attr->size - at);
        auto read = vault.content().read(attr->ino, at, {reinterpret_cast<uint8_t*>(content.data()) + at, size});
        if (!read.ok()) out.refused.insert(child);
      }
    }
    auto xattrs = vault.tree().list_xattrs(attr->ino);
    if (!xattrs.ok())
      out.refused.insert(child);
    else
      for (const auto& [key, value] : *xattrs)
        if (key != kDamagedXattr) content += "|" + key + "=" + std::string(as_text(value));
    out.entries[child] = content;
  }
}

std::set<std::string> Stand::entries_on(const std::set<uint64_t>& pages) const {
  std::set<std::string> out;
  for (uint64_t page : pages) {
    const auto [first, last] = owners.equal_range(page);
    for (auto it = first; it != last; ++it) out.insert(it->second);
  }
  return out;
}

void DamageScene::copy(const std::string& from, const std::string& to) {
  std::filesystem::create_directory(to);
  for (const char* name : {"header", "header.bak", "data.mdb", "journal"})
    std::filesystem::copy_file(from + "/" + name, to + "/" + name, std::filesystem::copy_options::overwrite_existing);
}

OpenOptions DamageScene::options(bool read_only) {
  return {.read_only = read_only, .map_size_bytes = uint64_t{1} << 30, .committer_thread = false};
}

Walked DamageScene::read(const std::string& directory) const {
  Walked out;
  auto vault = Vault::open(directory, options(true), *master_);
  EXPECT_TRUE(vault.ok()) << vault.error().message();
  if (vault.ok()) walk(**vault, kRootIno, "", out);
  return out;
}

Result<CheckReport> DamageScene::check(const std::string& directory) const {
  const LockedVault locked = TRY(LockedVault::open(directory, *master_));
  return check_locked(locked, {});
}

DamageScene::DamageScene() {
  journaled_.vault = place_.path() + "/journaled";
  settled_.vault = place_.path() + "/settled";
  {
    TempVault temp({.committer_thread = false});
    build(temp);
    copy(temp.directory(), journaled_.vault);
  }
  EXPECT_EQ(audit_store(journaled_.vault, TempVault::password()), std::vector<std::string>());
  // The password's cost would be most of a trial's time.
  master_ = std::make_unique<MasterKey>(
      MasterKey{LockedVault::open(journaled_.vault, TempVault::password()).value().master.secret.clone()});
  copy(journaled_.vault, settled_.vault);
  EXPECT_TRUE(Vault::open(settled_.vault, options(false), *master_).value()->close().ok());
  for (Stand* stand : {&journaled_, &settled_}) {
    Walked walked = read(stand->vault);
    EXPECT_TRUE(walked.refused.empty() && !walked.incomplete_listing);
    stand->entries = std::move(walked.entries);
    EXPECT_GT(stand->entries.size(), 650u);
    find_owners(*stand);
  }
  journaled_.tail = std::exchange(journaled_.entries["tail"], {});
  journaled_.entries.erase("tail");
  journaled_.owners.emplace(kJournalPage, "journaled*");
}

void DamageScene::build(TempVault& temp) {
  Tree& tree = temp.tree();
  Dice dice(7);
  for (int d = 0; d < 12; ++d) {
    const Ino dir = temp.make_directory(kRootIno, "folder " + std::to_string(d));
    for (int f = 0; f < 60; ++f) {
      const Ino file = temp.make_file(dir, "entry " + std::to_string(d) + "." + std::to_string(f) + ".md");
      temp.write(file, 0, random_text(dice, 100 + dice.below(3000)));
      if (f % 13 == 0) {
        EXPECT_TRUE(tree.set_xattr(file, "user.mime", as_bytes("text/markdown"), XattrMode::any).ok());
      }
      if (f % 17 == 0) {
        EXPECT_TRUE(tree.link(file, kRootIno, "link " + std::to_string(d) + "." + std::to_string(f)).ok());
      }
    }
    if (d % 3 == 0) {
      EXPECT_TRUE(temp.vault().sync().ok());
    }
  }
  EXPECT_TRUE(tree.make(kRootIno, "symlink", {.mode = S_IFLNK | 0777, .symlink = "folder 1/entry 1.1.md"}).ok());
  for (int f = 0; f < 4; ++f) {
    const Ino big = temp.make_file(kRootIno, "big " + std::to_string(f));
    for (uint64_t at = 0; at < (uint64_t{1} << 20); at += 65536) temp.write(big, at, random_text(dice, 65536));
  }
  const Ino large = temp.make_file(kRootIno, "large");  // with a map of two levels
  for (uint64_t at = 0; at < 40; ++at) temp.write(large, at * 131072, random_text(dice, 9000));
  EXPECT_TRUE(temp.vault().sync().ok());
  // Changes in place, deletions and renames: free pages with older copies, patches.
  for (int d = 0; d < 12; d += 2) {
    const auto dir = tree.lookup(kRootIno, "folder " + std::to_string(d));
    for (int f = 0; f < 60; f += 5) {
      const std::string name = "entry " + std::to_string(d) + "." + std::to_string(f) + ".md";
      if (f % 2 == 0) {
        EXPECT_TRUE(tree.unlink(dir->ino, name).ok());
      } else {
        EXPECT_TRUE(tree.rename(dir->ino, name, dir->ino, "renamed " + name, RenameMode::replace).ok());
      }
    }
    EXPECT_TRUE(temp.vault().sync().ok());
  }
  temp.write(tree.lookup(kRootIno, "big 1")->ino, 70000, random_text(dice, 5000));
  EXPECT_TRUE(temp.vault().sync().ok());
  // Unlinked files go when nobody uses them.
  for (uint64_t ino = 2; ino < 900; ++ino)
    if (auto attr = tree.getattr(Ino{ino}); attr.ok() && attr->nlink == 0) {
      EXPECT_TRUE(tree.reap(Ino{ino}).ok());
    }
  // Changes that only the journal has. The last frame is not looked at: damage there is like a crash before it.
  for (const char* name : {"journaled 1", "journaled 2", "journaled 3", "tail"}) {
    temp.write(temp.make_file(kRootIno, name), 0, random_text(dice, 5000));
    EXPECT_TRUE(temp.vault().fsync(kRootIno).ok());
  }
}

void DamageScene::find_owners(Stand& stand) const {
  const LockedVault locked = LockedVault::open(stand.vault, *master_).value();
  const Cipher& cipher = *locked.cipher;
  const Survey survey = survey_database(stand.vault + "/data.mdb", cipher).value();
  stand.page_count = survey.file_size / kPage;
  Catalog catalog(survey, cipher);
  EXPECT_TRUE(catalog.read({}).ok());
  auto own = [&stand](const Extent& extent, const std::string& path) {
    for (uint64_t page = extent.offset / kPage; page <= (extent.offset + extent.size - 1) / kPage; ++page)
      stand.owners.emplace(page, path);
  };
  std::multimap<uint64_t, std::string> paths;
  for (const CatalogName& name : catalog.names) {
    const std::string folder = catalog.path(raw(name.dirent.directory)).substr(1);
    const std::string path = folder + (folder.empty() ? "" : "/") + name.dirent.name;
    paths.emplace(raw(name.dirent.child), path);
    own(name.extent, path);
    if (name.dirent.type == kDirectoryType) own(name.extent, path + "/*");
  }
  const auto own_all = [&](const Extent& extent, uint64_t ino) {
    const auto [first, last] = paths.equal_range(ino);
    for (auto it = first; it != last; ++it) own(extent, it->second);
  };
  for (const StoredValue& value : survey.values(Table::xattrs)) own_all(value.extent, value.key.first);
  std::map<Bytes, uint64_t> contents;
  for (const auto& item : catalog.inodes) {
    own_all(item.second.extent, item.first);
    const ContentId content = catalog.load_inode(item.first).value().content.id;
    contents.emplace(Bytes(content.bytes.begin(), content.bytes.end()), item.first);
  }
  // Blocks, patches and map nodes alike: each value says whose it is (docs/format.md §4.3).
  constexpr size_t kContentOffset = 8;
  for (const StoredValue& value : survey.values(Table::blocks)) {
    const Bytes bytes = survey.read(value.extent).value();
    const auto content = bytes.begin() + kContentOffset;
    own_all(value.extent, contents.at(Bytes(content, content + sizeof(ContentId::bytes))));
  }
}

}  // namespace tain::test
