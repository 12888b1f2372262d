// SPDX-License-Identifier: Apache-2.0
#include "store/rotation.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "store/header_file.h"

namespace tain::store {
namespace {

using std::chrono::milliseconds;

constexpr unsigned kSlotShift = 7;     // a slot at one level covers 2^7 of the level below
constexpr uint64_t kStepLooks = 4096;  // values looked at in one step, so that no state is kept for long
constexpr size_t kStepNames = 256;     // placed anew in one step
constexpr uint64_t kBackgroundStep = uint64_t{1} << 20;  // bytes
constexpr milliseconds kBetweenRotationSteps{50};
constexpr milliseconds kAfterError{10'000};
constexpr milliseconds kWhenStuck = std::chrono::minutes{30};

/// The key that follows `key` at once.
Bytes after(ByteView key) {
  Bytes out(key.begin(), key.end());
  out.push_back(0);
  return out;
}

}  // namespace

/// What one step has found to do.
class Rotation::Slice {
 public:
  struct BlockJob {
    BlockPlace place;
    BlockRef ref;
    Kind kind{};
  };
  struct RecordJob {
    Table table{};
    Bytes key;
  };
  struct NameJob {
    Ino directory{};
    std::string name;
  };

  Slice(ReadTxn read, uint64_t budget) : txn(std::move(read)), budget_(budget) {}
  bool full() const { return spent_ >= budget_ || looks_ >= kStepLooks || names.size() >= kStepNames; }
  void spend(uint64_t bytes) { spent_ += bytes; }
  void looked() { ++looks_; }
  uint64_t looks() const { return looks_; }

  ReadTxn txn;
  Bytes scratch;
  std::vector<BlockJob> blocks;
  std::vector<RecordJob> records;
  std::vector<NameJob> names;
  Stage stage{};  // where the next step goes on, if what was found gets done
  Bytes from;
  uint64_t at = 0;
  bool end = false;  // of the table

 private:
  const uint64_t budget_;
  uint64_t spent_ = 0;
  uint64_t looks_ = 0;
};

Rotation::Rotation(WorkingSet& set, Committer& committer, Cipher& cipher, std::string directory)
    : set_(set), database_(set.database()), committer_(committer), cipher_(cipher), directory_(std::move(directory)) {
  state_.running = running();
  state_.epoch = cipher.epoch();
}

Table Rotation::table() const {
  switch (stage_) {
    case Stage::inodes: return Table::inodes;
    case Stage::versions: return Table::versions;
    case Stage::xattrs: return Table::xattrs;
    case Stage::past_names: return Table::past_names;
    case Stage::orphans: return Table::orphans;
    case Stage::marks: return Table::marks;
    case Stage::notes: return Table::notes;
    case Stage::names: return Table::dirents;
    case Stage::proof:
    case Stage::finish: break;
  }
  return proven_;
}

void Rotation::go_to(Stage stage) {
  stage_ = stage;
  from_.clear();
  at_ = 0;
  if (stage == Stage::inodes) looked_ = resealed_in_pass_ = unreadable_ = 0;
  if (stage == Stage::proof) {
    proven_ = Table::inodes;
    left_ = 0;
  }
}

Result<Rotation::Step> Rotation::step(uint64_t budget) {
  CHECK(budget > 0);
  const auto stepped = [&]() -> Result<Step> {
    if (!running()) return Step::done;
    if (stage_ == Stage::finish) return TRY(finish()) ? Step::done : Step::more;
    Slice slice(TRY(ReadTxn::begin(database_.env())), budget);
    TRY(look(slice));
    TRY(seal_anew(slice));
    // Only now: what failed is looked at again.
    from_ = std::move(slice.from);
    at_ = slice.at;
    if (stage_ != Stage::proof) looked_ += slice.looks();
    if (!slice.end) return Step::more;
    if (stage_ == Stage::names && unreadable_ > 0) {
      left_ = unreadable_;  // known without the proof, which would look at them through the map
      return end_of_proof();
    }
    if (stage_ != Stage::proof) {
      go_to(static_cast<Stage>(static_cast<int>(stage_) + 1));
    } else if (static_cast<size_t>(proven_) != kTableCount) {
      proven_ = static_cast<Table>(static_cast<int>(proven_) + 1);
      from_.clear();
    } else {
      return end_of_proof();
    }
    return Step::more;
  }();

  const State committed = committer_.state();
  uint64_t total = 1;
  for (const SetDigest& set : committed.sets) total += set.count;
  std::lock_guard lock(state_mutex_);
  state_.running = running();
  state_.error = stepped.ok() ? std::string() : stepped.error().message();
  const bool is_proven = stage_ == Stage::proof || stage_ == Stage::finish || !state_.running;
  state_.part = is_proven ? 1 : std::min(static_cast<double>(looked_) / static_cast<double>(total), 1.0);
  return stepped;
}

RotationState Rotation::state() const {
  std::lock_guard lock(state_mutex_);
  return state_;
}

// --- looking ------------------------------------------------------------------------------------------

/// Goes over the table from where the last step stopped.
Result<> Rotation::look(Slice& slice) {
  slice.from = from_;
  slice.at = at_;
  Cursor cursor = TRY(Cursor::open(slice.txn, table()));
  for (auto item = cursor.seek(from_);; item = cursor.next()) {
    if (item.is(Code::corrupt)) {  // a page is lost; what is behind it is not
      if (stage_ == Stage::proof) ++left_;
      if (cursor.lost().high.empty()) break;
      continue;
    }
    const auto found = TRY(std::move(item));
    if (!found.has_value()) break;
    if (compare_keys(found->key, from_) != 0) slice.at = 0;  // what `at` was about is gone
    slice.from.assign(found->key.begin(), found->key.end());
    if (slice.full()) return {};
    slice.looked();
    if (!TRY(look_at(slice, *found))) return {};
    slice.from = after(found->key);
    slice.at = 0;
  }
  slice.end = true;
  return {};
}

/// False when the slice is full before the item is through.
Result<bool> Rotation::look_at(Slice& slice, const Cursor::Item& item) {
  const bool is_older = value_epoch(item.value) == cipher_.older_epoch();
  const ContentRecord* content = nullptr;
  Inode inode;
  // What does not open is left, and found by the proof.
  if (stage_ == Stage::proof) {
    if (is_left(item)) ++left_;
    return true;
  }
  if (stage_ == Stage::inodes && item.key.size() == 8) {
    auto opened = database_.open_inode(Ino{load_be64(item.key.data())}, item.value);
    if (opened.ok()) inode = std::move(*opened);
    content = &inode.content;
  } else if (stage_ == Stage::versions && item.key.size() == 16) {
    auto opened = database_.open_version(item);
    if (opened.ok()) inode = std::move(opened->inode);
    content = &inode.content;
  } else if (stage_ == Stage::names && item.key.size() == 16 &&
             cookie_epoch(Cookie{load_be64(item.key.data() + 8)}) != cipher_.epoch()) {
    auto dirent = database_.open_dirent(item);
    if (dirent.ok()) slice.names.push_back({dirent->directory, std::move(dirent->name)});
    return true;
  }
  if (content != nullptr && !TRY(walk(slice, *content, content->root, content->height, 0))) return false;
  if (is_older) {
    slice.records.push_back({table(), Bytes(item.key.begin(), item.key.end())});
    slice.spend(item.value.size());
  }
  return true;
}

bool Rotation::is_left(const Cursor::Item& item) const {
  const bool is_misplaced = proven_ == Table::dirents && item.key.size() == 16 &&
                            cookie_epoch(Cookie{load_be64(item.key.data() + 8)}) != cipher_.epoch();
  return is_misplaced || value_epoch(item.value) == cipher_.older_epoch();
}

/// The map from slice.at on. Children come before their node: below a node that was sealed anew nothing is left.
Result<bool> Rotation::walk(Slice& slice, const ContentRecord& content, const RefList& list, uint8_t level,
                            uint64_t base) {
  const uint64_t span = uint64_t{1} << (kSlotShift * level);
  for (const auto& [slot, ref] : list) {
    const uint64_t index = base + slot * span;
    if (index + span <= slice.at) continue;
    if (slice.full()) return false;
    if (level == 0) {
      for (const Patch& patch : ref.patches) take_block(slice, content, stored_ref(patch), Kind::data_block, 0, index);
      BlockRef block = ref;
      block.patches.clear();
      take_block(slice, content, block, Kind::data_block, 0, index);
    } else {
      const auto beginning = beginning_of(slice, ref.id);
      const bool is_done = beginning.ok() && value_epoch(*beginning) == cipher_.epoch() &&
                           Reader(ByteView(*beginning).subspan(2)).u16() == kBlockSchemaResealed;
      if (!is_done) {
        const BlockPlace place{.content = content.id, .id = ref.id, .level = level, .index = index};
        TxnNodeReader nodes(database_, slice.txn);
        auto node = nodes.read_node(place, ref);
        if (node.ok()) {
          if (!TRY(walk(slice, content, **node, static_cast<uint8_t>(level - 1), index))) return false;
          take_block(slice, content, ref, Kind::map_node, level, index);
        } else if (!node.is(Code::corrupt) && !node.is(Code::not_found)) {
          return std::move(node).error();
        }
      }
    }
    slice.at = index + span;
  }
  return true;
}

/// The first bytes of a block value. With pread: a sector that the device does not give must not end the process.
Result<Bytes> Rotation::beginning_of(Slice& slice, const BlockId& id) {
  constexpr ValuePart kBeginning{.head = kRecordHeaderSize, .begin = kRecordHeaderSize, .end = kRecordHeaderSize};
  slice.looked();
  const auto stored = TRY(slice.txn.get_large(Table::blocks, block_key(id), slice.scratch, &kBeginning));
  if (!stored.has_value() || stored->size() < kRecordHeaderSize) return Error(Code::not_found, "no such block");
  return Bytes(stored->begin(), stored->begin() + kRecordHeaderSize);
}

void Rotation::take_block(Slice& slice, const ContentRecord& content, const BlockRef& ref, Kind kind, uint8_t level,
                          uint64_t index) {
  const auto beginning = beginning_of(slice, ref.id);
  if (beginning.ok() && value_epoch(*beginning) != cipher_.older_epoch()) return;
  // All of it, before the commit looks at it through the map.
  const auto stored = slice.txn.get_large(Table::blocks, block_key(ref.id), slice.scratch);
  if (!stored.ok()) ++unreadable_;
  if (!stored.ok() || !stored->has_value()) return;
  slice.blocks.push_back({{.content = content.id, .id = ref.id, .level = level, .index = index}, ref, kind});
  slice.spend((*stored)->size());
}

// --- doing --------------------------------------------------------------------------------------------

Result<> Rotation::seal_anew(Slice& slice) {
  uint64_t resealed = 0;
  if (!slice.blocks.empty() || !slice.records.empty()) {
    const auto put = [&](Batch& batch) -> Result<> {
      for (const Slice::BlockJob& job : slice.blocks)
        if (TRY(batch.reseal_block(job.place, job.ref, job.kind))) ++resealed;
      for (const Slice::RecordJob& job : slice.records)
        if (TRY(batch.reseal_record(job.table, job.key))) ++resealed;
      return {};
    };
    TRY(committer_.rewrite(put));
  }
  if (!slice.names.empty()) {
    {
      auto lock = set_.lock();
      TRY(set_.wait_for_room(lock, {.values = 0, .records = static_cast<uint32_t>(2 * slice.names.size())}));
      for (const Slice::NameJob& job : slice.names) {
        auto placed = set_.place_anew(job.directory, job.name);
        // A damaged one is left, and found by the proof.
        if (placed.is(Code::corrupt)) continue;
        if (TRY(std::move(placed))) ++resealed;
      }
    }
    TRY(committer_.commit());
  }
  resealed_in_pass_ += resealed;
  std::lock_guard lock(state_mutex_);
  state_.resealed += resealed;
  return {};
}

Result<Rotation::Step> Rotation::end_of_proof() {
  const bool is_stuck = left_ > 0 && resealed_in_pass_ == 0;
  {
    std::lock_guard lock(state_mutex_);
    state_.left = is_stuck ? left_ : 0;
  }
  go_to(left_ == 0 ? Stage::finish : Stage::inodes);
  return is_stuck ? Step::stuck : Step::more;
}

/// False if somebody may still be reading what was there before: then a moment later.
Result<bool> Rotation::finish() {
  const UniqueFd lock = TRY(lock_header(directory_));
  const LoadedHeader current = TRY(load_header(directory_));
  TRY(verify_header(current.header, current.bytes, cipher_));
  if (current.header.older.has_value()) {
    TRY(committer_.commit());
    TRY(committer_.free_pages());  // a state record of the new epoch, whatever was changed since
    TRY(committer_.erase_journal());
    Header header = current.header;
    header.older.reset();
    ++header.sequence;
    header.previous = hash256(current.bytes);
    const Bytes bytes = encode_header(header, cipher_);
    const Header decoded = TRY(decode_header(bytes));
    TRY(verify_header(decoded, bytes, cipher_));
    TRY(save_header(directory_, bytes));
  } else if (current.copies_differ) {
    TRY(repair_header(directory_, current));  // what failed a moment ago
  }
  {
    WriteTxn txn = TRY(WriteTxn::begin(database_.env()));
    if (TRY(txn.is_older_state_read())) return false;
  }
  cipher_.refuse_older();
  return true;
}

// --- in the background --------------------------------------------------------------------------------

void Rotation::start() {
  stop_ = false;
  thread_ = std::thread([this] { run(); });
}

void Rotation::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    stopped_.notify_all();
  }
  thread_.join();
}

/// False when it is time to stop.
bool Rotation::wait(milliseconds time) {
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, time, [&] { return stop_; });
}

void Rotation::run() {
  static_cast<void>(::setpriority(PRIO_PROCESS, 0 /* this thread */, 19));
  for (milliseconds rest = kBetweenRotationSteps; wait(rest);) {
    const auto stepped = step(kBackgroundStep);
    if (stepped.ok() && *stepped == Step::done) return;
    rest = !stepped.ok() ? kAfterError : *stepped == Step::stuck ? kWhenStuck : kBetweenRotationSteps;
  }
}

}  // namespace tain::store
