// SPDX-License-Identifier: Apache-2.0
// An open vault: the door to everything in store/.
//
// Opening takes the vault's lock, unlocks the header, opens the database, replays the journal and
// starts the committer. Closing commits everything and wipes the keys. LMDB forbids use across
// fork(), so a daemon forks first and opens afterwards.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/cipher.h"
#include "store/damage_log.h"
#include "store/key_slot.h"
#include "store/retention.h"
#include "store/types.h"
#include "store/vault_lock.h"

namespace tain::store {

class Tree;
class Content;
class Scrubber;
class PastView;
class Trash;
class TimeLocks;
class Notes;
class Janitor;
class Rotation;
struct RotationState;

struct CreateOptions {
  std::optional<Suite> suite;  // none: AES-256-GCM where the CPU has it, else XChaCha20-Poly1305
  KdfCost kdf = kKdfDefault;
  uint32_t root_uid = 0;  // owner of the root directory
  uint32_t root_gid = 0;
};

struct OpenOptions {
  bool read_only = false;
  /// Text after the pid in the lock file: where the vault is mounted. May be empty.
  std::string mountpoint;
  /// Told about things a person should know, one line each (a damaged header copy was replaced, …).
  std::function<void(const std::string&)> warn;
  uint64_t map_size_bytes = 0;         // 0: a default that no vault reaches
  uint64_t pending_max_bytes = uint64_t{64} << 20;  // of changed data kept in memory
  uint64_t cache_max_bytes = uint64_t{32} << 20;    // of clean blocks, map nodes and inodes
  bool committer_thread = true;        // tests may drive commits by hand with sync()
  bool foresee_full_disk = true;       // tests may let commits find out
  bool history = false;                // what is overwritten or removed is kept (ADR 13)
  bool rotate_in_background = true;    // where there is a committer thread: a change of the master key goes on by itself
  Clock* clock = nullptr;              // not owned; null: the system's
};

/// What anybody may learn of a vault without a password.
struct VaultInfo {
  std::string directory;  // absolute
  VaultId id;
  Suite suite = Suite::aes_256_gcm;
  uint32_t epoch = 0;
  uint32_t older_epoch = 0;  // of the master key before, while it is being changed (ADR 16); else 0
  uint64_t header_sequence = 0;
  std::vector<SlotInfo> slots;
  KdfCost kdf;            // of the first slot with a password; zeros if there is none
  bool copy_used = false; // the first header copy was damaged, the second one served
  std::optional<SlotInfo> opened_with;  // of an open vault; nothing if the master key itself was given
};

struct VaultStats {
  uint64_t entries = 0;        // inodes that are present, without the root
  uint64_t content_bytes = 0;  // sum of their file sizes
  uint64_t retired_entries = 0;        // those that history and trash keep
  uint64_t retired_content_bytes = 0;  // sum of their file sizes
  uint64_t store_bytes = 0;    // size of the database file
  uint64_t disk_bytes = 0;     // that it takes of the disk: without holes
  uint64_t pending_bytes = 0;
  uint64_t commits = 0;
  uint64_t journal_frames = 0;
};

/// Part of giving free space back (Vault::compact).
struct CompactStep {
  uint64_t next = 0;            // the page to go on from; 0: it is through
  uint64_t last_page = 0;       // of the database; `next` is not above it
  uint64_t returned_bytes = 0;  // by which the database takes less of the disk since this step
};

class Vault {
 public:
  /// Makes a vault in `directory`, which must not exist or be empty; parent directories must exist.
  /// Errors: exists/not_empty (a foreign directory), empty_password, invalid_argument, suite_missing, io, no_space.
  static Result<> create(const std::string& directory, const CreateOptions& options, const Credential& credential);

  /// Reads and checks the header only. Errors: not_a_vault, header_damaged, format_too_new, format_too_old, io.
  static Result<VaultInfo> inspect(const std::string& directory);
  /// The process that has the vault open, if any.
  static Result<std::optional<Holder>> holder(const std::string& directory);

  /// Errors: those of inspect, in_use, wrong_password, empty_password, suite_missing, corrupt, io, no_space.
  static Result<std::unique_ptr<Vault>> open(const std::string& directory, const OpenOptions& options,
                                             const Credential& credential);
  /// The same for who has unlocked the header already. Errors: also header_damaged (it is not this key's header).
  static Result<std::unique_ptr<Vault>> open(const std::string& directory, const OpenOptions& options,
                                             const MasterKey& master);

  /// Which slot opens with it; opens nothing else. Errors: those of open.
  static Result<SlotInfo> check_key(const std::string& directory, const Credential& credential);

  // Changes of the header (vault_keys.cc). Data is not touched, and the vault may be mounted meanwhile. A crash leaves
  // the old header or the new one, and the new one has been opened by what it was made for before it is written.

  /// Rewraps the master key: the slot that `old_way` opens is replaced by one for `new_password`, and keeps its keyfile. If those
  /// are recovery words, their slot stays, and the only password of the vault is replaced.
  /// Errors: those of open; invalid_argument (the recovery words could mean several passwords, or none).
  static Result<> change_password(const std::string& directory, const Credential& old_way, const Secret& new_password,
                                  const KdfCost& cost);
  /// One more way in. `existing` must open the vault. Errors: those of open; too_big (kSlotsMax slots, or kSlotsTriedMax
  /// of one type with a password).
  static Result<SlotInfo> add_slot(const std::string& directory, const Credential& existing, const Credential& added,
                                   const KdfCost& cost);
  /// Takes a way in away. `other` must open the vault by another slot: so the last one never goes.
  /// Errors: those of open; not_found, not_permitted (only slots bound to a device would be left, or it is the last).
  static Result<> remove_slot(const std::string& directory, const SlotId& id, const Credential& other);
  /// A new master key, under the next epoch. Of the slots only the one that `kept` opens stays, wrapping the new key: the
  /// others cannot be made anew without their secrets. What is stored stays readable; opening the vault seals it anew in
  /// the background (store/rotation.h). Nobody may have the vault open.
  /// Errors: those of open; in_use; not_permitted (one is under way already, or there were too many).
  static Result<> start_rotation(const std::string& directory, const Credential& kept);
  /// Writes a copy of the header into a new file. Needs no key; the copy opens with the keys of today, for ever.
  /// Errors: those of inspect, exists, no_space, io, …
  static Result<> backup_header(const std::string& directory, const std::string& file);
  /// Puts such a copy back, once `credential` has opened it and it has opened the vault's data. What it replaces is kept
  /// as header.replaced-…. Errors: exists (the vault has an intact header, and `over_an_intact_one` is not set),
  /// not_permitted (of another vault), in_use, corrupt, those of open, io.
  static Result<> restore_header(const std::string& directory, const std::string& file, const Credential& credential,
                                 bool over_an_intact_one);

  /// Cuts free pages off the end of the database of a vault that nobody has open. The bytes by which it got shorter; they
  /// took nothing of the disk, but copies get smaller. Errors: in_use, corrupt, io.
  static Result<uint64_t> cut_free_end(const std::string& directory);

  /// Closes: commits, and reports nothing; call close() to learn of failures.
  ~Vault();
  Vault(const Vault&) = delete;
  Vault& operator=(const Vault&) = delete;

  Tree& tree();
  Content& content();
  /// How the vault was, and what of that goes or comes back. Of a read-only vault only what it was.
  PastView past();
  Trash trash();
  /// Until when what is refused.
  TimeLocks time_locks();
  /// What is kept for whoever mirrors the vault.
  Notes notes();
  /// What of the past this vault keeps, and for how long.
  RetentionPolicy retention() const;
  /// Changes that; durable when it returns. Errors: read_only, no_space, io, corrupt.
  Result<> set_retention(const RetentionPolicy& policy);
  /// For taking away what is due, step by step; it must be gone before close(). With a committer thread and history one
  /// does so by itself.
  std::unique_ptr<Janitor> make_janitor();
  /// Who knows which inodes without a name are still in use: nothing is taken away from those. Null: none is. After the
  /// call the one before is not asked any more.
  void set_in_use(std::function<bool(Ino)> in_use);
  /// The HLC that is the present; of times before it see store/past.
  uint64_t hlc_now();
  const VaultInfo& info() const;
  bool read_only() const;
  /// Whether what is overwritten or removed is kept (OpenOptions::history).
  bool keeps_history() const;

  /// Tells other processes, through Holder, where this one can be asked. Errors: io, no_space.
  Result<> set_control_socket(const std::string& path);
  /// Makes every change up to now durable in the database. Threads: any.
  Result<> sync();
  /// Makes every change to `ino` up to now durable (journal or database). Threads: any.
  Result<> fsync(Ino ino);
  /// Commits everything and stops the committer. After an error the vault is still open.
  Result<> close();
  VaultStats stats() const;
  /// What turned out to be damaged since the vault was opened. Threads: any.
  const DamageLog& damage() const;
  /// For going through all data; it must be gone before close(). `keep_position`: in the vault's file `scrub`.
  std::unique_ptr<Scrubber> make_scrubber(bool keep_position);
  /// Gives free space inside the database back to the file system, a little at a time: begins with `from` 0 and goes on
  /// from what the step before said. Commits wait for a step, some 50 ms. Errors: those of compact_step and sync,
  /// read_only. Threads: any that has no transaction.
  Result<CompactStep> compact(uint64_t from);
  /// For changing the master key step by step, without rotate_in_background; it must be gone before close().
  std::unique_ptr<Rotation> make_rotation();
  /// How the change in the background stands; what has been asked for with make_rotation() has a state of its own.
  RotationState rotation() const;
  /// Bytes that can still be written before the disk is full, counting what would be given up of the past. Threads: any.
  uint64_t room_bytes() const;

 private:
  struct Impl;
  explicit Vault(std::unique_ptr<Impl> impl);
  static Result<std::unique_ptr<Vault>> start(std::unique_ptr<Impl> impl, const MasterKey& master, bool mend_header,
                                              const std::string& complaint);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tain::store
