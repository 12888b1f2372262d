// SPDX-License-Identifier: Apache-2.0
// tain key list, add, remove: the ways into a vault.
#include <algorithm>
#include <ctime>

#include "cli/commands.h"
#include "cli/credential.h"
#include "cli/device_key.h"
#include "cli/kdf_time.h"
#include "cli/key_text.h"
#include "cli/recovery_sheet.h"
#include "cli/seen_header.h"
#include "cli/target.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

using nlohmann::json;
using store::SlotType;

json to_json(const store::SlotInfo& slot) {
  json out = {{"slot", to_hex(slot.id)}, {"type", store::slot_type_name(slot.type)}, {"created_at", slot.created}};
  if (slot.kdf == store::SlotKdf::argon2id)
    out["kdf"] = {{"name", "argon2id"}, {"passes", slot.cost.passes}, {"memory_bytes", slot.cost.memory_bytes}, {"below_default", slot.is_below_default()}};
  return out;
}

/// "2026-11-28, 12 days ago".
std::string age_of(const store::SlotInfo& slot, time_t now) {
  const auto created = static_cast<time_t>(slot.created);
  tm local{};
  char date[32] = "?";
  if (::localtime_r(&created, &local) != nullptr) std::strftime(date, sizeof date, "%Y-%m-%d", &local);
  if (created > now) return std::string(date) + ", in the future";
  const int64_t days = (now - created) / (24 * 60 * 60);
  return std::string(date) + ", " + (days == 0 ? "today" : days == 1 ? "1 day ago" : std::to_string(days) + " days ago");
}

/// The slot whose id begins with `text`.
Result<store::SlotInfo> find_slot(const std::vector<store::SlotInfo>& slots, const std::string& text) {
  std::vector<store::SlotInfo> found;
  for (const store::SlotInfo& slot : slots)
    if (!text.empty() && to_hex(slot.id).starts_with(text)) found.push_back(slot);
  if (found.size() == 1) return found[0];
  return Error(Code::usage, found.empty() ? "the vault has no key slot " + text : "more than one key slot begins with " + text)
      .hint("tain key list shows them");
}

/// The device that a kind of key means.
std::optional<SlotType> device_of(std::string_view kind) {
  for (const SlotType type : {SlotType::fido2, SlotType::tpm2, SlotType::keyring})
    if (kind == store::slot_type_name(type)) return type;
  return std::nullopt;
}

}  // namespace

std::string describe_slot(const store::SlotInfo& slot) {
  std::string name(store::slot_type_name(slot.type));
  if (slot.type == SlotType::password_keyfile) name = "password with keyfile";
  if (slot.type == SlotType::recovery) name = "recovery words";
  if (slot.type == SlotType::fido2) name = "FIDO2 token";
  if (slot.type == SlotType::tpm2) name = "TPM";
  return name;
}

std::string describe_cost(const store::SlotInfo& slot) {
  if (slot.kdf != store::SlotKdf::argon2id) return "random, needs no Argon2id";
  return "Argon2id, " + std::to_string(slot.cost.passes) + " passes over " + format_bytes(slot.cost.memory_bytes);
}

Result<> cmd_key_list(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  const store::VaultInfo info = TRY(store::Vault::inspect(target.vault_directory));
  if (arguments.has("json")) {
    json all = json::array();
    for (const store::SlotInfo& slot : info.slots) all.push_back(to_json(slot));
    print_json(world, all);
    return {};
  }
  const time_t now = ::time(nullptr);
  for (const store::SlotInfo& slot : info.slots) {
    std::string name = describe_slot(slot);
    name.resize(std::max(name.size(), size_t{21}), ' ');
    world.out << to_hex(slot.id) << "  " << name << "  made " << age_of(slot, now) << "; " << describe_cost(slot)
              << (slot.is_below_default() ? "; below today's default" : "") << '\n';
  }
  if (std::any_of(info.slots.begin(), info.slots.end(), [](const store::SlotInfo& slot) { return slot.is_below_default(); }))
    warn(world, "a password of this vault is easier to guess than today's default would let it be (3 passes over 256 MiB)",
         "tain passwd sets it again at today's cost");
  return {};
}

Result<> cmd_key_add(World& world, const Arguments& arguments) {
  const std::string& kind = arguments.positional()[1];
  const bool recovery = kind == "recovery", keyfile = kind == "keyfile";
  const std::optional<SlotType> device = device_of(kind);
  if (!recovery && !keyfile && !device && kind != "password")
    return Error(Code::usage, "unknown kind of key " + kind).hint("password, keyfile, recovery, fido2, tpm2 or keyring");
  if (keyfile != arguments.has("new-keyfile"))
    return Error(Code::usage, keyfile ? "no keyfile is given" : "--new-keyfile is for the kind keyfile").hint("tain key add VAULT keyfile --new-keyfile FILE");
  if (!recovery && arguments.has("sheet")) return Error(Code::usage, "--sheet is for recovery words");
  if (auto fd = arguments.value("pass-fd"); fd && fd == arguments.value("new-pass-fd"))
    return Error(Code::usage, "--pass-fd and --new-pass-fd are the same descriptor").hint("give two");
  if (recovery) TRY(check_sheet(arguments));
  const double seconds = TRY(kdf_seconds(arguments));
  const Target target = TRY(find_target(arguments.positional()[0]));
  const std::string& directory = target.vault_directory;
  const store::VaultInfo vault = TRY(store::Vault::inspect(directory));  // before anybody types a password
  const store::Credential existing = TRY(read_credential(world, arguments, directory));

  store::Credential added;
  if (recovery) {
    TRY(store::Vault::check_key(directory, existing));  // before anybody writes 15 words down
    added = TRY(hand_out_recovery_words(world, arguments, directory));
  } else if (device) {
    TRY(store::Vault::check_key(directory, existing));  // before anybody touches a token
    added = TRY(make_device_credential(world, arguments, directory, *device));
  } else {
    added = TRY(read_new_credential(world, arguments));
  }
  auto made = store::Vault::add_slot(directory, existing, added, store::calibrate_kdf(recovery || device ? 0 : seconds));
  if (made.ok() || made.is(Code::partial)) keep_header(world, directory, Keep::this_one);
  // Only the second copy of the header is missing: the slot is there, and so are the words, or the key in the device.
  if (made.is(Code::partial)) return std::move(made).error().with("the key slot was added");
  if (!made.ok() && recovery) note(world, "the words are not valid: no key slot was made for them");
  if (!made.ok() && device) {
    const store::SlotInfo unused{.id = *added.slot, .type = *device, .cost = {}, .extra = added.extra};
    static_cast<void>(device_key(*device)->forget(world, vault, unused));
  }
  const store::SlotInfo slot = TRY(std::move(made));
  if (arguments.has("json"))
    print_json(world, to_json(slot));
  else
    note(world, "added key slot " + to_hex(slot.id) + " (" + describe_slot(slot) + "), which has opened the vault once already");
  return {};
}

Result<> cmd_key_remove(World& world, const Arguments& arguments) {
  const Target target = TRY(find_target(arguments.positional()[0]));
  const store::VaultInfo info = TRY(store::Vault::inspect(target.vault_directory));
  const store::SlotInfo slot = TRY(find_slot(info.slots, arguments.positional()[1]));
  if (info.slots.size() == 1)
    return Error(Code::not_permitted, "it is the vault's only key slot: without it nothing opens the vault")
        .hint("add another one first: tain key add");
  note(world, "give a key that stays: it is proven to work before " + describe_slot(slot) + " " + to_hex(slot.id) + " goes");
  const store::Credential other = TRY(read_credential(world, arguments, target.vault_directory));
  auto removed = store::Vault::remove_slot(target.vault_directory, slot.id, other);
  if (removed.ok() || removed.is(Code::partial)) keep_header(world, target.vault_directory, Keep::this_one);
  // A device keeps its key then: the second copy of the header may still be what is left of the vault's.
  if (removed.is(Code::partial)) return std::move(removed).error().with("the key slot was removed");
  TRY(std::move(removed));
  if (store::is_device(slot.type)) {
    const auto forgotten = device_key(slot.type)->forget(world, info, slot);
    if (!forgotten.ok()) warn(world, "the key is still in the device, where it opens nothing any more: " + forgotten.error().message());
  }
  if (arguments.has("json"))
    print_json(world, to_json(slot));
  else
    note(world, "removed key slot " + to_hex(slot.id) + " (" + describe_slot(slot) + ")");
  note_old_headers(world);
  return {};
}

void note_old_headers(World& world) {
  note(world, "this does not revoke the old key: with it, a copy of the vault's header from before (a backup, an old disk, what another machine keeps of it) still opens the vault");
  note(world, "a new master key makes such copies useless: tain key rotate");
}

}  // namespace tain::cli
