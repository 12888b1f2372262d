// SPDX-License-Identifier: Apache-2.0
#include "store/vault.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "store/committer.h"
#include "store/compact.h"
#include "store/content.h"
#include "store/header_file.h"
#include "store/janitor.h"
#include "store/notes.h"
#include "store/past.h"
#include "store/rotation.h"
#include "store/scrub.h"
#include "store/time_lock.h"
#include "store/trash.h"
#include "store/tree.h"

namespace tain::store {
namespace {

constexpr int64_t kCompactStep_ns = 50'000'000;

std::string database_path(const std::string& directory) { return directory + "/data.mdb"; }
std::string journal_path(const std::string& directory) { return directory + "/journal"; }

/// Makes `directory`, or accepts an empty one.
Result<> make_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return errno_error(errno, "make directory " + directory);
  struct stat st {};
  if (::stat(directory.c_str(), &st) != 0) return errno_error(errno, directory);
  if (!S_ISDIR(st.st_mode)) return Error(Code::not_directory, directory + " is not a directory");
  DIR* dir = ::opendir(directory.c_str());
  if (dir == nullptr) return errno_error(errno, "open " + directory);
  bool empty = true;
  while (const dirent* entry = ::readdir(dir)) {  // NOLINT(concurrency-mt-unsafe): our own DIR
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") empty = false;
  }
  ::closedir(dir);
  if (!empty)
    return Error(Code::not_empty, directory + " is not empty").hint("name a new or an empty directory for the vault");
  if (::chmod(directory.c_str(), 0700) != 0) return errno_error(errno, "change mode of " + directory);
  return {};
}

Result<> write_first_commit(Env& env, const Cipher& cipher, const CreateOptions& options) {
  Database database(env, cipher, 0);
  State state;
  state.journal_chain = random_array<32>();
  state.device = random_array<16>();
  state.commit_id = random_array<16>();
  Batch batch = TRY(Batch::begin(database, state));

  const int64_t wall_ns = system_clock().wall_ns();
  const Time now{.seconds = wall_ns / 1'000'000'000, .nanoseconds = static_cast<uint32_t>(wall_ns % 1'000'000'000)};
  Inode root;
  root.ino = kRootIno;
  root.parent = kRootIno;
  root.entry.bytes = random_array<16>();
  root.content.id.bytes = random_array<16>();
  root.mode = S_IFDIR | 0700;
  root.nlink = 2;
  root.uid = options.root_uid;
  root.gid = options.root_gid;
  root.atime = root.mtime = root.ctime = root.btime = now;
  TRY(batch.put_record(Table::inodes, ino_key(kRootIno), Kind::inode, kInodeSchema, encode_inode(root), true));
  TRY(std::move(batch).commit(state));
  return {};
}

/// Takes away what an unsuccessful create() left, so that it can be tried again.
void remove_partial_vault(const std::string& directory) {
  for (const char* name : {"/header", "/header.bak", "/data.mdb", "/data.mdb-lock", "/journal", "/header.new",
                           "/header.bak.new"})
    ::unlink((directory + name).c_str());
}

VaultInfo info_of(const std::string& directory, const LoadedHeader& loaded) {
  VaultInfo info;
  info.directory = directory;
  info.id = loaded.header.vault;
  info.suite = loaded.header.suite;
  info.epoch = loaded.header.epoch;
  if (loaded.header.older.has_value()) info.older_epoch = loaded.header.older->epoch;
  info.header_sequence = loaded.header.sequence;
  for (const KeySlot& slot : loaded.header.slots) {
    info.slots.push_back(slot_info(slot));
    if (info.kdf == KdfCost{}) info.kdf = slot.cost;
  }
  info.copy_used = loaded.copy_used;
  return info;
}

}  // namespace

struct Vault::Impl {
  VaultInfo info;
  OpenOptions options;
  VaultLock lock;
  std::unique_ptr<Cipher> cipher;
  std::unique_ptr<Env> env;
  std::unique_ptr<Database> database;
  std::unique_ptr<Journal> journal;
  std::unique_ptr<WorkingSet> set;
  std::unique_ptr<Tree> tree;
  std::unique_ptr<Content> content;
  std::unique_ptr<Committer> committer;
  std::unique_ptr<Janitor> janitor;
  std::unique_ptr<Rotation> rotation;
  bool closed = false;

  Impl(VaultInfo vault_info, const OpenOptions& open_options, VaultLock vault_lock, std::unique_ptr<Cipher> keys)
      : info(std::move(vault_info)), options(open_options), lock(std::move(vault_lock)), cipher(std::move(keys)) {}

  void warn(const std::string& message) const {
    if (options.warn) options.warn(message);
  }

  Result<> start() {
    // A device without the cipher keeps the vault usable: it writes the other one.
    Suite suite = info.suite;
    if (!suite_available(suite)) {
      suite = Suite::xchacha20_poly1305;
      warn("this processor lacks AES instructions: new content is sealed with " + std::string(suite_name(suite)) +
           ", and files sealed with aes-256-gcm cannot be read on this machine");
    }
    env = TRY(Env::open(database_path(info.directory),
                        {.map_size_bytes = options.map_size_bytes, .read_only = options.read_only}));
    database = std::make_unique<Database>(*env, *cipher, options.cache_max_bytes);
    State state;
    {
      ReadTxn txn = TRY(ReadTxn::begin(*env));
      state = TRY(database->load_state(txn));
    }
    if (::access(journal_path(info.directory).c_str(), F_OK) != 0)
      warn("the journal is missing: changes of the last second before the vault was closed may be lost");
    journal = TRY(Journal::open(journal_path(info.directory), *cipher));
    Clock& clock = options.clock != nullptr ? *options.clock : system_clock();
    set = std::make_unique<WorkingSet>(*database, clock,
                                       WorkingSet::Limits{.pending_max_bytes = options.pending_max_bytes,
                                                          .history = options.history}, random_u64(),
                                       state);
    if (options.foresee_full_disk) set->set_space_probe([this] { return env->free_space(); });
    set->set_marks_changes(state.marks_changes);
    tree = std::make_unique<Tree>(*set);
    content = std::make_unique<Content>(*set);
    committer = std::make_unique<Committer>(*set, *journal, suite, state, [this](const Error& error) {
      warn("changes wait in memory and in the journal, because they could not be written to the database: " +
           error.message());
    });
    TRY(replay(state));
    if (options.read_only) return {};
    // Where it fails, what was replayed is in the journal still, and can be read: the committer told why.
    if (committer->commit().ok()) reap_orphans();
    janitor = std::make_unique<Janitor>(*set, *committer);
    set->set_reclaim([this] {
      const bool is_more_free = janitor->give_back();
      if (is_more_free) warn("the disk is full: the oldest of the trash and of former versions was given up");
      return is_more_free;
    });
    if (options.committer_thread) committer->start();
    if (options.committer_thread && options.history) janitor->start();
    // From the first moment on a header of before does not open this vault any more: what is fsynced from now on would be
    // missing then.
    if (cipher->older_epoch() != 0) static_cast<void>(committer->free_pages().ok());
    rotation = std::make_unique<Rotation>(*set, *committer, *cipher, info.directory);
    if (options.committer_thread && options.rotate_in_background && rotation->running()) rotation->start();
    return {};
  }

  Result<> replay(const State& state) {
    uint64_t skipped = 0;
    const auto apply = [&](ByteView payload) -> Result<> {
      std::lock_guard guard(set->mutex());
      skipped += TRY(set->replay_frame(payload));
      return {};
    };
    auto report = TRY(journal->replay({.sequence = state.journal_sequence, .chain = state.journal_chain}, apply));
    if (report.frames == 0 && !report.damaged) journal->restart();  // old frames need not be kept
    if (!report.damaged && skipped == 0) {
      // What the journal has it need not get again: a first commit that fails must not use up its room.
      std::lock_guard guard(set->mutex());
      set->note_replayed();
      return {};
    }
    // Named by what it holds: if the commit that would make it history fails, the next mount finds the same again.
    const Bytes copy = TRY(read_file(journal_path(info.directory), kJournalSize * 2));
    const Id32 hash = hash256(copy);
    const std::string kept = journal_path(info.directory) + ".damaged-" + to_hex(ByteView(hash).first(8));
    if (!options.read_only && ::access(kept.c_str(), F_OK) != 0) {
      auto written = replace_file(kept, copy);
      if (!written.ok())
        return std::move(written).error().with("the damaged journal cannot be kept")
            .hint("make room on the disk, or mount with --read-only");
    }
    warn((report.damaged ? std::string("the journal is damaged: changes of the last second before the vault was closed may be missing")
                         : std::to_string(skipped) + " changes could not be redone because their entries are damaged") +
         (options.read_only ? "" : "; the journal is kept as " + kept));
    return {};
  }

  /// Files that had no name left but were still in use when the vault was last closed.
  /// One that is damaged stays: it is no reason to keep the vault shut.
  void reap_orphans() {
    auto reaped = [&]() -> Result<> {
      std::vector<Ino> orphans;
      {
        ReadTxn txn = TRY(ReadTxn::begin(*env));
        orphans = TRY(database->load_orphans(txn));
      }
      Result<> first_error;
      for (Ino ino : orphans) {
        auto gone = tree->reap(ino);
        if (!gone.ok() && first_error.ok()) first_error = std::move(gone);
      }
      TRY(committer->commit());
      return first_error;
    }();
    if (!reaped.ok()) warn("deleted files could not be cleaned up: " + reaped.error().message());
  }

  Result<> close() {
    if (closed) return {};
    if (janitor != nullptr) janitor->stop();
    if (rotation != nullptr) rotation->stop();
    if (!options.read_only) {
      if (options.history) {
        auto guard = set->lock();
        set->keep_age(committer->state().age);
      }
      auto committed = committer->commit();
      if (committed.ok()) {
        {
          auto guard = set->lock();
          set->keep_accesses();
        }
        committer->stop();
        committed = committer->commit();
      }
      if (!committed.ok()) {
        // The journal has space of its own, whatever is wrong with the database, and the next mount replays it.
        if (!committer->keep_in_journal()) return committed;
        warn("the last changes wait in the journal for the next mount");
        committer->stop();
      }
    }
    closed = true;
    return {};
  }
};

Result<> Vault::create(const std::string& directory, const CreateOptions& options, const Credential& credential) {
  TRY(check_credential(credential));
  const Suite suite = options.suite.value_or(suite_available(Suite::aes_256_gcm) ? Suite::aes_256_gcm
                                                                                 : Suite::xchacha20_poly1305);
  if (!suite_available(suite))
    return Error(Code::suite_missing, "this processor has no instructions for " + std::string(suite_name(suite)))
        .hint("choose --cipher xchacha20-poly1305");
  TRY(make_directory(directory));

  auto filled = [&]() -> Result<> {
    NewHeader made = TRY(make_header(credential, suite, options.kdf, now_seconds()));
    Cipher cipher(made.master, made.header.vault, made.header.epoch);
    {
      auto env = TRY(Env::open(database_path(directory), {.map_size_bytes = 0, .create = true}));
      TRY(write_first_commit(*env, cipher, options));
    }
    TRY(Journal::create(journal_path(directory)));
    // The header last: without it this is no vault, so a crash on the way leaves nothing half-made.
    TRY(save_first_header(directory, encode_header(made.header, cipher)));
    return fsync_directory(directory + "/..");  // its own name
  }();
  if (!filled.ok()) remove_partial_vault(directory);
  return filled;
}

Result<VaultInfo> Vault::inspect(const std::string& directory) {
  const std::string path = TRY(vault_path(directory));
  return info_of(path, TRY(load_header(path)));
}

Result<std::optional<Holder>> Vault::holder(const std::string& directory) { return VaultLock::holder(directory); }

Result<std::unique_ptr<Vault>> Vault::open(const std::string& directory, const OpenOptions& options,
                                           const Credential& credential) {
  TRY(check_credential(credential));
  const std::string path = TRY(vault_path(directory));
  LoadedHeader loaded = TRY(load_header(path));
  VaultLock lock = TRY(VaultLock::take(path, options.mountpoint));
  Unlocked unlocked = TRY(unlock(loaded.header, loaded.bytes, credential));

  VaultInfo info = info_of(path, loaded);
  info.opened_with = info.slots[unlocked.slot];
  auto cipher = TRY(make_cipher(loaded.header, unlocked.master));
  return start(std::make_unique<Impl>(std::move(info), options, std::move(lock), std::move(cipher)), unlocked.master,
               loaded.copies_differ, loaded.complaint);
}

Result<std::unique_ptr<Vault>> Vault::open(const std::string& directory, const OpenOptions& options,
                                           const MasterKey& master) {
  const std::string path = TRY(vault_path(directory));
  LoadedHeader loaded = TRY(load_header(path));
  VaultLock lock = TRY(VaultLock::take(path, options.mountpoint));
  TRY(verify_header(loaded.header, loaded.bytes, master));
  auto cipher = TRY(make_cipher(loaded.header, master));
  return start(std::make_unique<Impl>(info_of(path, loaded), options, std::move(lock), std::move(cipher)), master,
               loaded.copies_differ, loaded.complaint);
}

Result<std::unique_ptr<Vault>> Vault::start(std::unique_ptr<Impl> impl, const MasterKey& master, bool mend_header,
                                            const std::string& complaint) {
  if (mend_header) {
    impl->warn(complaint);
    if (!impl->options.read_only) {
      const std::string& path = impl->info.directory;
      UniqueFd header_lock = TRY(lock_header(path));
      const LoadedHeader current = TRY(load_header(path));  // a password change may have come between
      TRY(verify_header(current.header, current.bytes, master));
      TRY(repair_header(path, current));
    }
  }
  TRY(impl->start());
  return std::unique_ptr<Vault>(new Vault(std::move(impl)));
}

Result<uint64_t> Vault::cut_free_end(const std::string& directory) {
  const std::string path = TRY(vault_path(directory));
  const VaultLock lock = TRY(VaultLock::take(path, ""));
  return store::cut_free_end(database_path(path));
}

Vault::Vault(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Vault::~Vault() {
  // Whoever wants to know whether the last changes were written calls close() first.
  static_cast<void>(impl_->close().ok());
}

Tree& Vault::tree() { return *impl_->tree; }
Content& Vault::content() { return *impl_->content; }
PastView Vault::past() { return PastView(*impl_->set); }
TimeLocks Vault::time_locks() { return TimeLocks(*impl_->set); }
Notes Vault::notes() { return Notes(impl_->set->database(), *impl_->committer, impl_->options.read_only); }
Trash Vault::trash() { return Trash(*impl_->set); }
RetentionPolicy Vault::retention() const { return impl_->committer->state().retention; }
Result<> Vault::set_retention(const RetentionPolicy& policy) {
  if (impl_->options.read_only)
    return Error(Code::read_only, "the vault is open for reading only").hint("mount it without --ro");
  return impl_->committer->set_retention(policy);
}
std::unique_ptr<Janitor> Vault::make_janitor() { return std::make_unique<Janitor>(*impl_->set, *impl_->committer); }
std::unique_ptr<Rotation> Vault::make_rotation() {
  return std::make_unique<Rotation>(*impl_->set, *impl_->committer, *impl_->cipher, impl_->info.directory);
}
RotationState Vault::rotation() const {
  if (impl_->rotation != nullptr) return impl_->rotation->state();
  return {.running = impl_->cipher->older_epoch() != 0, .epoch = impl_->cipher->epoch()};
}
void Vault::set_in_use(std::function<bool(Ino)> in_use) {
  std::lock_guard lock(impl_->set->mutex());
  impl_->set->set_in_use(std::move(in_use));
}
uint64_t Vault::hlc_now() {
  std::lock_guard lock(impl_->set->mutex());
  return impl_->set->hlc_now();
}
const VaultInfo& Vault::info() const { return impl_->info; }
bool Vault::read_only() const { return impl_->options.read_only; }
bool Vault::keeps_history() const { return impl_->options.history; }

Result<> Vault::set_control_socket(const std::string& path) { return impl_->lock.set_control_socket(path); }

Result<> Vault::sync() { return impl_->options.read_only ? Result<>() : impl_->committer->commit(); }
Result<> Vault::fsync(Ino ino) { return impl_->options.read_only ? Result<>() : impl_->committer->fsync(ino); }
Result<> Vault::close() { return impl_->close(); }

uint64_t Vault::room_bytes() const {
  const uint64_t free = impl_->env->free_bytes();
  const uint64_t past = std::min(stats().retired_content_bytes, impl_->env->used_bytes());
  std::lock_guard lock(impl_->set->mutex());
  return impl_->set->room_of(free) + past;
}

const DamageLog& Vault::damage() const { return impl_->set->damage(); }

std::unique_ptr<Scrubber> Vault::make_scrubber(bool keep_position) {
  return std::make_unique<Scrubber>(*impl_->set, impl_->info.directory, impl_->info.id,
                                    Scrubber::Options{.keep = keep_position});
}

Result<CompactStep> Vault::compact(uint64_t from) {
  if (impl_->options.read_only)
    return Error(Code::read_only, "the vault is open for reading only").hint("mount it without --ro");
  if (from == 0) {
    // What was deleted a moment ago is free in the database after one commit, and given up by the last two states of it
    // after another.
    TRY(impl_->committer->commit());
    TRY(impl_->committer->free_pages());
  }
  return compact_step(*impl_->env, from, kCompactStep_ns);
}

VaultStats Vault::stats() const {
  std::lock_guard lock(impl_->set->mutex());
  const State state = impl_->committer->state();
  const WorkingSet::Counts growth = impl_->set->pending_counts();
  VaultStats stats;
  stats.retired_entries = state.retired_inodes + static_cast<uint64_t>(growth.retired_inodes);
  stats.retired_content_bytes = state.retired_content_bytes + static_cast<uint64_t>(growth.retired_content_bytes);
  stats.entries = state.sets[static_cast<size_t>(Table::inodes)].count - 1 + static_cast<uint64_t>(growth.inodes) -
                  stats.retired_entries;
  stats.content_bytes = state.content_bytes + static_cast<uint64_t>(growth.content_bytes);
  stats.store_bytes = impl_->env->used_bytes();
  stats.disk_bytes = impl_->env->disk_bytes();
  stats.commits = state.commit_number;
  stats.journal_frames = impl_->committer->journal_frames();
  stats.pending_bytes = impl_->set->pending_bytes();
  return stats;
}

}  // namespace tain::store
