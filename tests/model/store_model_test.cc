// SPDX-License-Identifier: Apache-2.0
// Random operations on the store and on the oracle: same results, same tree, also after closing and
// opening, and after a crash, which must give exactly the state of the last durable point.
//
// TAIN_MODEL_OPS and TAIN_MODEL_SEED change the length and the seed; a failure prints both.
#include <cstdlib>
#include <random>
#include <set>

#include "store/past.h"
#include "tests/model/oracle.h"
#include "tests/model/picture.h"
#include "tests/support/temp_vault.h"

namespace tain::test {
namespace {

using store::Attr;
using store::RenameMode;
using store::Whence;
using store::XattrMode;

uint64_t setting(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Model {
 public:
  /// With `history` the vault keeps what was, and is looked at as of some moments of its past at the end.
  explicit Model(uint64_t seed, bool history = false)
      : random_(seed), history_(history), temp_({.committer_thread = false, .history = history}) {
    durable_ = oracle_;
    note_durable();
  }

  void run(uint64_t operations) {
    for (uint64_t i = 0; i < operations && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE("operation " + std::to_string(i));
      step();
    }
    if (!testing::Test::HasFailure()) compare_all();
    if (!testing::Test::HasFailure()) compare_past();
  }

 private:
  uint64_t pick(uint64_t below) { return random_() % below; }
  Ino ino(uint64_t number) const { return Ino{number}; }

  std::string some_name() {
    // Few names, so that they collide; some long, some with odd bytes.
    const uint64_t n = pick(14);
    if (n == 12) return std::string(255, 'x');
    if (n == 13) return "\xff\xfe name\nwith bytes";
    return "n" + std::to_string(n);
  }
  std::string some_bytes(size_t size) {
    std::string out(size, '\0');
    const auto start = static_cast<unsigned>(random_());
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>(start + i * 31 + (i >> 8));
    return out;
  }
  uint64_t any_inode() {
    auto it = oracle_.nodes().begin();
    std::advance(it, static_cast<ptrdiff_t>(pick(oracle_.nodes().size())));
    return it->first;
  }
  /// Mostly a directory.
  uint64_t some_directory() {
    for (int i = 0; i < 8; ++i) {
      const uint64_t n = any_inode();
      if (oracle_.find(n)->is_directory()) return n;
    }
    return pick(20) == 0 ? any_inode() : 1;
  }
  std::optional<uint64_t> some_file() {
    for (int i = 0; i < 16; ++i) {
      const uint64_t n = any_inode();
      if (S_ISREG(oracle_.find(n)->mode)) return n;
    }
    return {};
  }
  uint64_t some_offset() {
    const uint64_t kind = pick(20);
    if (kind == 0) return pick(2'500'000);
    if (kind < 6) return pick(300'000);
    return pick(9'000);
  }
  size_t some_size() {
    const uint64_t kind = pick(20);
    if (kind == 0) return pick(400'000);
    if (kind < 4) return pick(70'000);
    return 1 + pick(5'000);
  }

  template <class T>
  void expect_same(const Result<T>& result, const Oracle::Outcome& expected) {
    if (expected.has_value()) {
      ASSERT_FALSE(result.ok()) << "should have failed with code " << static_cast<int>(*expected);
      EXPECT_EQ(static_cast<int>(result.code()), static_cast<int>(*expected)) << result.error().message();
    } else {
      EXPECT_TRUE(result.ok()) << result.error().message();
    }
  }

  /// In the history's test time stands still, so that only what is there at a pause has stood for a while.
  void pause() {
    sync();
    temp_.clock().advance_seconds(3);
    if (samples_.size() < kSamplesMax || pick(4) == 0) {
      if (samples_.size() == kSamplesMax) samples_.erase(std::next(samples_.begin(), static_cast<ptrdiff_t>(pick(kSamplesMax))));
      samples_[temp_.vault().hlc_now()] = plain_picture_of(oracle_);
    }
    temp_.clock().advance_seconds(3);
  }

  void compare_past() {
    for (const auto& [hlc, expected] : samples_) {
      SCOPED_TRACE("as of " + std::to_string(hlc));
      auto found = picture_at(temp_.vault(), hlc);
      ASSERT_TRUE(found.ok()) << found.error().message();
      ASSERT_EQ(difference(expected, *found), "");
    }
  }

  void step() {
    if (history_) {
      if (pick(12) == 0) pause();
    } else {
      temp_.clock().advance_seconds(1);
    }
    switch (pick(28)) {
      case 0: case 1: case 2: case 3: return make();
      case 4: case 5: case 6: case 7: case 8: return write();
      case 9: return resize();
      case 10: return zero();
      case 11: case 12: return read();
      case 13: return link();
      case 14: case 15: return unlink();
      case 16: return rmdir();
      case 17: case 18: case 19: return rename();
      case 20: return xattr();
      case 21: return pick(3) == 0 ? set_acl() : set_mode();
      case 22: return pick(3) == 0 ? temp_.tree().note_access(ino(any_inode())) : list(some_directory());
      case 23: return fsync();
      case 24: return pick(4) == 0 ? sync() : seek();
      case 25: return copy();
      case 26: return reap();
      case 27:
        if (pick(8) != 0) return fsync();
        return pick(2) == 0 ? reopen() : crash();
      default: return;
    }
  }

  void make() {
    const uint64_t directory = some_directory();
    const std::string name = some_name();
    if (oracle_.nodes().size() > 150 && pick(3) != 0) return unlink();
    const uint32_t types[] = {S_IFREG, S_IFREG, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK};
    const uint32_t mode = types[pick(7)] | static_cast<uint32_t>(pick(01000));
    const std::string target = S_ISLNK(mode) ? "to/" + some_name() : "";
    auto made = temp_.tree().make(ino(directory), name, {.mode = mode, .symlink = target});
    const Oracle::Outcome expected = oracle_.can_make(directory, name);
    expect_same(made, expected);
    if (made.ok() && !expected) {
      EXPECT_EQ(oracle_.find(raw(made->ino)), nullptr) << "an inode number was used twice";
      oracle_.make(directory, name, raw(made->ino), mode, target);
    }
  }

  void write() {
    auto file = some_file();
    if (!file) return;
    const uint64_t offset = pick(3) == 0 ? oracle_.find(*file)->data->size() : some_offset();
    if (offset > 3'000'000) return;
    const std::string data = some_bytes(some_size());
    if (data.empty()) return;
    expect_same(temp_.content().write(ino(*file), offset, as_bytes(data)), oracle_.write(*file, offset, data));
  }

  void resize() {
    auto file = some_file();
    if (!file) return;
    const uint64_t size = pick(3) == 0 ? 0 : some_offset();
    auto result = temp_.tree().setattr(ino(*file), {.size = size});
    expect_same(result, oracle_.resize(*file, size));
    if (result.ok()) { EXPECT_EQ(result->size, size); }
  }

  void zero() {
    auto file = some_file();
    if (!file) return;
    const uint64_t offset = some_offset();
    const uint64_t length = 1 + some_size();
    const bool extend = pick(2) == 0;
    expect_same(temp_.content().zero(ino(*file), offset, length, extend), oracle_.zero(*file, offset, length, extend));
  }

  void read() {
    auto file = some_file();
    if (!file) return;
    const std::string& data = *oracle_.find(*file)->data;
    const uint64_t offset = some_offset();
    const size_t size = some_size();
    EXPECT_TRUE(temp_.read(ino(*file), offset, size) == (offset < data.size() ? data.substr(offset, size) : ""))
        << "inode " << *file << " offset " << offset << " size " << size;
  }

  void seek() {
    auto file = some_file();
    if (!file) return;
    const std::string& data = *oracle_.find(*file)->data;
    const uint64_t offset = some_offset();
    auto found = temp_.content().seek(ino(*file), offset, Whence::data);
    if (offset >= data.size()) return expect_same(found, Code::no_such_offset);
    // Every byte that is not zero counts as data; where data begins earlier than need be is the store's affair.
    const size_t first = data.find_first_not_of('\0', offset);
    if (first != data.npos) {
      ASSERT_TRUE(found.ok());
      EXPECT_LE(*found, first);
      EXPECT_GE(*found, offset);
    }
    auto hole = temp_.content().seek(ino(*file), offset, Whence::hole);
    ASSERT_TRUE(hole.ok());
    EXPECT_GE(*hole, offset);
    EXPECT_LE(*hole, data.size());
    if (*hole < data.size()) { EXPECT_EQ(data[*hole], '\0'); }
  }

  void copy() {
    auto from = some_file();
    auto to = some_file();
    if (!from || !to || *from == *to) return;
    const uint64_t offset = some_offset();
    const uint64_t target = some_offset();
    const std::string& data = *oracle_.find(*from)->data;
    const std::string part = offset < data.size() ? data.substr(offset, some_size()) : "";
    auto copied = temp_.content().copy(ino(*from), offset, ino(*to), target, part.size());
    ASSERT_TRUE(copied.ok()) << copied.error().message();
    EXPECT_EQ(*copied, part.size());
    if (!part.empty()) oracle_.write(*to, target, part);
  }

  void link() {
    const uint64_t target = any_inode();
    // The kernel never asks for a link to a file without a name (linkat of /proc/self/fd aside).
    if (oracle_.find(target)->nlink == 0) return;
    const uint64_t directory = some_directory();
    const std::string name = some_name();
    expect_same(temp_.tree().link(ino(target), ino(directory), name), oracle_.link(target, directory, name));
  }

  /// Half of what lost its last name is still open somewhere: it goes later.
  void maybe_reap(const store::Unlinked& unlinked) {
    if (!unlinked.orphan || pick(2) == 0) return;
    EXPECT_TRUE(temp_.tree().reap(unlinked.ino).ok());
    oracle_.reap(raw(unlinked.ino));
  }

  void unlink() {
    const uint64_t directory = some_directory();
    const std::string name = some_name();
    auto result = temp_.tree().unlink(ino(directory), name);
    expect_same(result, oracle_.unlink(directory, name));
    if (result.ok()) maybe_reap(*result);
  }

  void rmdir() {
    const uint64_t directory = some_directory();
    const std::string name = some_name();
    auto result = temp_.tree().rmdir(ino(directory), name);
    expect_same(result, oracle_.rmdir(directory, name));
    if (result.ok()) maybe_reap(*result);
  }

  void rename() {
    const RenameMode modes[] = {RenameMode::replace, RenameMode::replace, RenameMode::no_replace, RenameMode::exchange};
    const RenameMode mode = modes[pick(4)];
    const uint64_t from_directory = some_directory();
    const uint64_t to_directory = some_directory();
    const std::string from = some_name();
    const std::string to = some_name();
    std::optional<store::NewInode> whiteout;
    if (mode != RenameMode::exchange && pick(4) == 0) whiteout = store::NewInode{.mode = S_IFCHR, .symlink = {}};
    auto result = temp_.tree().rename(ino(from_directory), from, ino(to_directory), to, mode, whiteout);
    expect_same(result, oracle_.rename(from_directory, from, to_directory, to, mode));
    const Oracle::Node* parent = oracle_.find(from_directory);
    if (result.ok() && whiteout && !parent->children.contains(from)) {
      auto left = temp_.tree().lookup(ino(from_directory), from);
      ASSERT_TRUE(left.ok());
      EXPECT_EQ(oracle_.find(raw(left->ino)), nullptr) << "the whiteout is an inode that was there before";
      oracle_.make_whiteout(from_directory, from, raw(left->ino));
    }
    if (result.ok() && result->has_value()) maybe_reap(**result);
  }

  void xattr() {
    const uint64_t n = any_inode();
    const std::string name = "user.a" + std::to_string(pick(4));
    if (pick(3) == 0)
      return expect_same(temp_.tree().remove_xattr(ino(n), name), oracle_.remove_xattr(n, name));
    const std::string value = some_bytes(pick(20) == 0 ? pick(20'000) : pick(60));
    const XattrMode modes[] = {XattrMode::any, XattrMode::create, XattrMode::replace};
    const XattrMode mode = modes[pick(3)];
    expect_same(temp_.tree().set_xattr(ino(n), name, as_bytes(value), mode), oracle_.set_xattr(n, name, value, mode));
  }

  void set_mode() {
    const uint64_t n = any_inode();
    // Without set-group-id: directories pass it on, which the oracle does not know.
    const auto mode = static_cast<uint32_t>(pick(010000)) & ~static_cast<uint32_t>(S_ISGID);
    EXPECT_TRUE(temp_.tree().setattr(ino(n), {.mode = mode, .size = {}}).ok());
    oracle_.set_mode(n, mode);
  }

  void set_acl() {
    const uint64_t n = any_inode();
    const Oracle::Node& node = *oracle_.find(n);
    if (S_ISLNK(node.mode)) return;
    const store::AclKind kind =
        node.is_directory() && pick(2) == 0 ? store::AclKind::standard : store::AclKind::access;
    const auto bits = static_cast<uint32_t>(pick(01000));
    EXPECT_TRUE(temp_.tree().set_acl(ino(n), kind, as_bytes(Oracle::acl(bits)), true).ok());
    oracle_.set_acl(n, kind, bits);
  }

  void reap() {
    const uint64_t n = any_inode();
    EXPECT_TRUE(temp_.tree().reap(ino(n)).ok());
    oracle_.reap(n);
  }

  void list(uint64_t directory) {
    std::map<std::string, uint64_t> seen;
    std::set<uint64_t> cookies;
    // Continue at random places, as readdir with a small buffer does.
    Cookie after{0};
    for (bool more = true; more && !testing::Test::HasFailure();) {
      more = false;
      auto result = temp_.tree().list(ino(directory), after, [&](const store::ListItem& item) {
        if (pick(5) == 0) {
          more = true;
          return false;
        }
        EXPECT_TRUE(seen.emplace(item.name, raw(item.ino)).second) << "a name was listed twice";
        EXPECT_TRUE(cookies.insert(raw(item.cookie)).second);
        EXPECT_GT(raw(item.cookie), raw(after));
        EXPECT_EQ(item.type, store::dirent_type(oracle_.find(raw(item.ino))->mode));
        after = item.cookie;
        return true;
      });
      const bool is_directory = oracle_.find(directory)->is_directory();
      expect_same(result, is_directory ? Oracle::Outcome() : Oracle::Outcome(Code::not_directory));
    }
    EXPECT_EQ(seen, oracle_.find(directory)->children);
  }

  void note_durable() {
    const auto stats = temp_.vault().stats();
    marks_ = {stats.commits, stats.journal_frames};
  }
  void fsync() {
    auto result = temp_.vault().fsync(ino(any_inode()));
    EXPECT_TRUE(result.ok()) << result.error().message();
    const auto stats = temp_.vault().stats();
    if (std::pair(stats.commits, stats.journal_frames) != marks_) durable_ = oracle_;
    note_durable();
  }
  void sync() {
    EXPECT_TRUE(temp_.vault().sync().ok());
    durable_ = oracle_;
    note_durable();
  }
  void reopen() {
    temp_.reopen();
    oracle_.reap_all();
    durable_ = oracle_;
    note_durable();
    compare_all();
  }
  void crash() {
    temp_.crash();
    oracle_ = durable_;
    oracle_.reap_all();
    durable_ = oracle_;
    note_durable();
    compare_all();
  }

  void compare_all() {
    for (const auto& [n, node] : oracle_.nodes()) {
      SCOPED_TRACE("inode " + std::to_string(n));
      auto attr = temp_.tree().getattr(ino(n));
      ASSERT_TRUE(attr.ok()) << attr.error().message();
      EXPECT_EQ(attr->mode, node.mode);
      EXPECT_EQ(attr->nlink, node.nlink);
      if (S_ISREG(node.mode)) {
        EXPECT_EQ(attr->size, node.data->size());
        EXPECT_TRUE(temp_.read(ino(n)) == *node.data) << "content differs";
      }
      if (S_ISLNK(node.mode)) { EXPECT_EQ(temp_.tree().readlink(ino(n)).value(), node.symlink); }
      if (node.is_directory()) {
        EXPECT_EQ(raw(temp_.tree().parent(ino(n)).value()), node.parent);
        list(n);
        for (const auto& [name, child] : node.children) {
          auto found = temp_.tree().lookup(ino(n), name);
          ASSERT_TRUE(found.ok()) << found.error().message();
          EXPECT_EQ(raw(found->ino), child);
        }
        EXPECT_EQ(temp_.tree().lookup(ino(n), "never made").code(), Code::not_found);
      }
      auto xattrs = temp_.tree().list_xattrs(ino(n));
      ASSERT_TRUE(xattrs.ok());
      std::map<std::string, std::string> got;
      for (const auto& [name, value] : *xattrs) got[name] = std::string(as_text(value));
      EXPECT_EQ(got, node.xattrs);
      if (testing::Test::HasFailure()) return;
    }
  }

  static constexpr size_t kSamplesMax = 100;
  std::mt19937_64 random_;
  const bool history_;
  TempVault temp_;
  std::map<uint64_t, Picture> samples_;  // by the HLC at which it was so
  Oracle oracle_;
  Oracle durable_;
  std::pair<uint64_t, uint64_t> marks_;
};

TEST(StoreModelTest, BehavesLikeTheOracleThroughReopensAndCrashes) {
  const uint64_t operations = setting("TAIN_MODEL_OPS", 10'000);
  const uint64_t first_seed = setting("TAIN_MODEL_SEED", 1);
  const uint64_t seeds = setting("TAIN_MODEL_SEEDS", 2);
  for (uint64_t seed = first_seed; seed < first_seed + seeds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("TAIN_MODEL_SEED=" + std::to_string(seed) + " TAIN_MODEL_OPS=" + std::to_string(operations));
    Model(seed).run(operations / seeds);
  }
}

TEST(StoreModelTest, ShowsThePastAsTheOracleWas) {
  const uint64_t operations = setting("TAIN_MODEL_OPS", 10'000);
  const uint64_t first_seed = setting("TAIN_MODEL_SEED", 1);
  const uint64_t seeds = setting("TAIN_MODEL_SEEDS", 2);
  for (uint64_t seed = first_seed; seed < first_seed + seeds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("TAIN_MODEL_SEED=" + std::to_string(seed) + " TAIN_MODEL_OPS=" + std::to_string(operations));
    Model(seed, /*history=*/true).run(operations / seeds);
  }
}

}  // namespace
}  // namespace tain::test
