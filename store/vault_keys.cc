// SPDX-License-Identifier: Apache-2.0
// Changes of a vault's header: key slots, and putting back a copy. The rest of Vault is in vault.cc.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "store/database.h"
#include "store/header_file.h"
#include "store/recovery_words.h"
#include "store/vault.h"

namespace tain::store {
namespace {

/// The header of a vault, unlocked, and nobody else changes it meanwhile.
struct OpenHeader {
  std::string path;
  UniqueFd lock;
  LoadedHeader loaded;
  Unlocked unlocked;
};

Result<OpenHeader> open_header(const std::string& directory, const Credential& credential, std::optional<SlotId> but_not = {}) {
  std::string path = TRY(vault_path(directory));
  UniqueFd lock = TRY(lock_header(path));
  LoadedHeader loaded = TRY(load_header(path));
  Unlocked unlocked = TRY(unlock(loaded.header, loaded.bytes, credential, but_not));
  return OpenHeader{std::move(path), std::move(lock), std::move(loaded), std::move(unlocked)};
}

/// Makes `slots` those of the vault, once `proof` has opened the very bytes through the code that will read them.
Result<> publish(const OpenHeader& current, std::vector<KeySlot> slots, const Credential& proof) {
  const MasterKey& master = current.unlocked.master;
  Header header = current.loaded.header;
  ++header.sequence;
  header.previous = hash256(current.loaded.bytes);
  header.slots = std::move(slots);
  const Bytes bytes = encode_header(header, Cipher(master, header.vault, header.epoch));

  const Header decoded = TRY(decode_header(bytes));
  const Unlocked proven = TRY(unlock(decoded, bytes, proof));
  if (!proven.master.secret.equals(master.secret))
    return Error(Code::corrupt, "the new key slot does not open the vault; nothing was changed");
  return save_header(current.path, bytes);
}

/// Which slot a new password replaces when the vault was opened by slot `opened`.
Result<size_t> slot_to_replace(const Header& header, size_t opened) {
  const SlotType type = header.slots[opened].type;
  if (type == SlotType::password || type == SlotType::password_keyfile) return opened;
  std::vector<size_t> passwords;
  for (size_t i = 0; i < header.slots.size(); ++i)
    if (header.slots[i].type == SlotType::password) passwords.push_back(i);
  if (passwords.size() == 1) return passwords[0];
  return Error(Code::invalid_argument, passwords.empty() ? "the vault has no password without a keyfile that could be replaced"
                                                         : "the vault has several passwords, and which one is to be replaced is not known")
      .hint("tain key add makes a new one, tain key remove takes the old one away");
}

/// That the keys of `header` are those of the data.
Result<> check_data(const std::string& path, const Header& header, const MasterKey& master) {
  const auto cipher = TRY(make_cipher(header, master));
  const auto state = [&]() -> Result<State> {
    auto env = TRY(Env::open(path + "/data.mdb", {.map_size_bytes = 0, .read_only = true}));
    Database database(*env, *cipher, 0);
    ReadTxn txn = TRY(ReadTxn::begin(*env));
    return database.load_state(txn);
  }();
  if (state.ok()) return {};
  return Error(state.code(), "the vault's data does not open with this header: " + state.error().message())
      .hint("it is the header of another vault or of before a change of the master key, or the database is damaged too");
}

/// What stands in the way of a header that is put back is kept, whatever it is.
Result<> keep_replaced(const std::string& path, ByteView restored) {
  for (const char* name : {kHeaderName, kHeaderCopyName}) {
    const std::string file = path + "/" + name;
    auto content = read_file(file, kHeaderSizeMax);
    if (content.is(Code::not_found) || (content.ok() && std::equal(content->begin(), content->end(), restored.begin(), restored.end()))) continue;
    if (!content.ok() && !content.is(Code::too_large)) return std::move(content).error();
    const std::string kept = file + ".replaced-" + to_hex(random_array<4>());
    if (content.ok()) {
      TRY(replace_file(kept, *content));  // the file itself stays: at no moment is there no header
    } else if (::rename(file.c_str(), kept.c_str()) != 0) {
      return errno_error(errno, "keep " + file);
    }
  }
  return {};
}

}  // namespace

Result<SlotInfo> Vault::check_key(const std::string& directory, const Credential& credential) {
  const std::string path = TRY(vault_path(directory));
  const LoadedHeader loaded = TRY(load_header(path));
  const Unlocked unlocked = TRY(unlock(loaded.header, loaded.bytes, credential));
  return slot_info(loaded.header.slots[unlocked.slot]);
}

Result<> Vault::change_password(const std::string& directory, const Credential& old_way, const Secret& new_password,
                                const KdfCost& cost) {
  TRY(check_password(new_password.view()));
  TRY(check_kdf_cost(cost));
  const OpenHeader current = TRY(open_header(directory, old_way));
  const Header& header = current.loaded.header;
  const size_t replaced = TRY(slot_to_replace(header, current.unlocked.slot));
  const Credential added = header.slots[replaced].type == SlotType::password_keyfile
                               ? Credential::with_keyfile(new_password, old_way.keyfile_hash)
                               : Credential(new_password);
  std::vector<KeySlot> slots = header.slots;
  slots[replaced] = TRY(make_slot(header, current.unlocked.master, added, cost, now_seconds()));
  return publish(current, std::move(slots), added);
}

Result<SlotInfo> Vault::add_slot(const std::string& directory, const Credential& existing, const Credential& added,
                                 const KdfCost& cost) {
  TRY(check_credential(added));
  TRY(check_kdf_cost(cost));
  const OpenHeader current = TRY(open_header(directory, existing));
  std::vector<KeySlot> slots = current.loaded.header.slots;
  const auto same_type = std::count_if(slots.begin(), slots.end(), [&](const KeySlot& slot) { return slot.type == added.type; });
  const bool tried_in_turn = added.type == SlotType::password || added.type == SlotType::password_keyfile;
  if (slots.size() >= kSlotsMax || (tried_in_turn && static_cast<size_t>(same_type) >= kSlotsTriedMax))
    return Error(Code::too_big, slots.size() >= kSlotsMax ? "the vault has 8 key slots already, and there can be no more"
                                                          : "the vault has 3 slots of this kind already, and more would not be tried")
        .hint("tain key remove makes room");
  slots.push_back(TRY(make_slot(current.loaded.header, current.unlocked.master, added, cost, now_seconds())));
  const SlotInfo info = slot_info(slots.back());
  TRY(publish(current, std::move(slots), added));
  return info;
}

Result<> Vault::remove_slot(const std::string& directory, const SlotId& id, const Credential& other) {
  {  // before a password is hashed
    const std::string path = TRY(vault_path(directory));
    const LoadedHeader loaded = TRY(load_header(path));
    const auto& slots = loaded.header.slots;
    const auto is_it = [&](const KeySlot& slot) { return slot.id == id; };
    if (std::none_of(slots.begin(), slots.end(), is_it))
      return Error(Code::not_found, "the vault has no key slot " + to_hex(id)).hint("tain key list shows them");
    if (slots.size() == 1)
      return Error(Code::not_permitted, "it is the vault's only key slot: without it nothing opens the vault")
          .hint("add another one first: tain key add");
  }
  auto opened = open_header(directory, other, id);
  if (opened.is(Code::wrong_password))
    return Error(Code::wrong_password, "this key does not open the vault by another slot than the one to be removed")
        .hint("give the password or recovery words of a slot that stays: that it works is proven before the other one goes");
  const OpenHeader current = TRY(std::move(opened));
  std::vector<KeySlot> slots = current.loaded.header.slots;
  std::erase_if(slots, [&](const KeySlot& slot) { return slot.id == id; });
  if (std::all_of(slots.begin(), slots.end(), [](const KeySlot& slot) { return is_device(slot.type); }))
    return Error(Code::not_permitted, "only keys that are bound to a device would be left, and devices break")
        .hint("add a password or recovery words first: tain key add");
  return publish(current, std::move(slots), other);
}

Result<> Vault::start_rotation(const std::string& directory, const Credential& kept) {
  const std::string path = TRY(vault_path(directory));
  const VaultLock vault_lock = TRY(VaultLock::take(path, ""));
  const OpenHeader current = TRY(open_header(directory, kept));
  const Header& before = current.loaded.header;
  if (before.older.has_value())
    return Error(Code::not_permitted, "the vault's master key is being changed already")
        .hint("mount the vault, or run tain key rotate, and it goes on");
  if (before.epoch >= kEpochMax)
    return Error(Code::not_permitted, "the vault's master key was changed " + std::to_string(before.epoch - 1) +
                                          " times, and cannot be once more")
        .hint("copy its files into a new vault");
  // What does not open with the key of today will not with that of tomorrow.
  TRY(check_data(path, before, current.unlocked.master));

  const KeySlot& slot = before.slots[current.unlocked.slot];
  if (is_device(slot.type))
    return Error(Code::not_permitted, "the key that is given is the only one that stays, and devices break")
        .hint("give a password or recovery words, and add the device's slot again afterwards");
  Credential credential = kept.clone();
  if (slot.type == SlotType::recovery && kept.type == SlotType::password)
    credential = Credential::from_recovery(TRY(decode_recovery_words(kept.secret.view())));
  const MasterKey master{Secret::random(32)};
  Header header = before;
  header.minor = std::max(header.minor, kFormatMinorRotated);
  ++header.sequence;
  ++header.epoch;
  header.previous = hash256(current.loaded.bytes);
  header.key_check = Cipher(master, header.vault, header.epoch).key_check();
  header.slots = {TRY(make_slot(header, master, credential, slot.cost, now_seconds()))};
  header.older = wrap_older(header, master, current.unlocked.master, before.epoch);
  const Bytes bytes = encode_header(header, Cipher(master, header.vault, header.epoch));

  // Through the code that will read it, before it replaces anything.
  const Header decoded = TRY(decode_header(bytes));
  const Unlocked proven = TRY(unlock(decoded, bytes, kept));
  TRY(check_data(path, decoded, proven.master));
  return save_header(path, bytes);
}

Result<> Vault::backup_header(const std::string& directory, const std::string& file) {
  const std::string path = TRY(vault_path(directory));
  const LoadedHeader loaded = TRY(load_header(path));
  UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return errno_error(errno, "make " + file);
  auto written = write_exactly(fd.get(), loaded.bytes, 0);
  if (written.ok() && ::fsync(fd.get()) != 0) written = errno_error(errno, "flush " + file);
  if (!written.ok()) ::unlink(file.c_str());
  return written;
}

Result<> Vault::restore_header(const std::string& directory, const std::string& file, const Credential& credential,
                               bool over_an_intact_one) {
  const Bytes bytes = TRY(read_file(file, kHeaderSizeMax));
  auto decoded = decode_header(bytes);
  if (!decoded.ok()) return std::move(decoded).error().with(file);
  const std::string path = TRY(vault_path(directory));
  const UniqueFd header_lock = TRY(lock_header(path));
  const VaultLock vault_lock = TRY(VaultLock::take(path, ""));
  auto current = load_header(path);
  if (current.ok()) {
    if (current->header.vault != decoded->vault)
      return Error(Code::not_permitted, file + " is the header of another vault").hint("nothing was changed");
    if (!over_an_intact_one)
      return Error(Code::exists, "the vault has an intact header")
          .hint("an older header brings back the passwords of its time; --force does so all the same");
  } else if (!current.is(Code::header_damaged) && !current.is(Code::not_a_vault)) {
    return std::move(current).error();
  }
  const Unlocked unlocked = TRY(unlock(*decoded, bytes, credential));
  TRY(check_data(path, *decoded, unlocked.master));
  TRY(keep_replaced(path, bytes));
  return save_header(path, bytes);
}

}  // namespace tain::store
