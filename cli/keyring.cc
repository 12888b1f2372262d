// SPDX-License-Identifier: Apache-2.0
// Key slots whose key is in the Secret Service of the login: gnome-keyring, KWallet, KeePassXC (ADR 17).
#include "cli/device_key.h"

#ifdef TAIN_HAS_KEYRING
#include <libsecret/secret.h>

#include "base/bytes.h"
#include "cli/child.h"
#include "cli/library.h"
#endif

namespace tain::cli {
namespace {

using store::SlotId;
using store::SlotInfo;
using store::VaultInfo;

#ifdef TAIN_HAS_KEYRING

/// What is used of libsecret, and of the GLib that it brings along.
struct Secrets {
  decltype(secret_password_store_sync)* store;
  decltype(secret_password_lookup_nonpageable_sync)* lookup;
  decltype(secret_password_clear_sync)* clear;
  decltype(secret_password_free)* free;
  decltype(g_error_free)* free_error;

  static Result<Secrets> load() {
    const Library library = TRY(Library::load("libsecret-1.so.0", "libsecret-1-0"));
    const auto find = [&]<class F>(F*& into, const char* name) { return (into = library.function<F>(name)) != nullptr; };
    Secrets out{};
    if (find(out.store, "secret_password_store_sync") && find(out.lookup, "secret_password_lookup_nonpageable_sync") &&
        find(out.clear, "secret_password_clear_sync") && find(out.free, "secret_password_free") &&
        find(out.free_error, "g_error_free"))
      return out;
    return Error(Code::unsupported, "libsecret-1.so.0 is of a version that tain does not know");
  }

  Error failed(const std::string& what, GError* error) const {
    const std::string text = error != nullptr ? error->message : "refused";
    if (error != nullptr) free_error(error);
    return Error(Code::io, what + ": " + text)
        .hint("is a keyring running (gnome-keyring, KWallet, KeePassXC), and is it unlocked? a password opens the vault, too");
  }
};

const SecretSchema kSchema = {"org.tain.Vault", SECRET_SCHEMA_NONE,
                              {{"vault", SECRET_SCHEMA_ATTRIBUTE_STRING}, {"slot", SECRET_SCHEMA_ATTRIBUTE_STRING}, {nullptr, SECRET_SCHEMA_ATTRIBUTE_STRING}},
                              0, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};

/// Two digits for each byte, into memory that is wiped. Null-terminated.
Secret hex_of(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  Secret out(2 * bytes.size() + 1);
  for (size_t i = 0; i < bytes.size(); ++i) {
    out.span()[2 * i] = static_cast<uint8_t>(kDigits[bytes[i] >> 4]);
    out.span()[2 * i + 1] = static_cast<uint8_t>(kDigits[bytes[i] & 15]);
  }
  return out;
}

/// Nothing when it is no key of ours.
std::optional<Secret> key_of(std::string_view hex) {
  if (hex.size() != 2 * store::kDeviceKeySize) return std::nullopt;
  Secret out(store::kDeviceKeySize);
  for (size_t i = 0; i < hex.size(); ++i) {
    const char c = hex[i];
    int digit = 0;
    if (c >= '0' && c <= '9') digit = c - '0';
    else if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    else return std::nullopt;
    uint8_t& byte = out.span()[i / 2];
    byte = static_cast<uint8_t>(byte << 4 | digit);
  }
  return out;
}

class Keyring final : public DeviceKey {
 public:
  Result<Made> make(World&, const Arguments&, const VaultInfo& vault, const SlotId& id) override {
    Secret key = Secret::random(store::kDeviceKeySize);
    auto kept = in_child([&]() -> Result<Secret> {
      const Secrets secrets = TRY(Secrets::load());
      const std::string label = "Key of the tain vault " + vault.directory;
      const Secret hex = hex_of(key.view());
      GError* error = nullptr;
      const bool stored = secrets.store(&kSchema, SECRET_COLLECTION_DEFAULT, label.c_str(), as_text(hex.view()).data(), nullptr, &error,
                                        "vault", to_hex(vault.id.bytes).c_str(), "slot", to_hex(id).c_str(), nullptr);
      if (!stored) return secrets.failed("keep the key in the keyring", error);
      return Secret();
    });
    TRY(std::move(kept));
    return Made{std::move(key), {}};
  }

  Result<std::optional<Secret>> open(World&, const Arguments&, const VaultInfo& vault, const SlotInfo& slot) override {
    return ask_in_child([&]() -> Result<std::optional<Secret>> {
      const Secrets secrets = TRY(Secrets::load());
      GError* error = nullptr;
      gchar* const hex = secrets.lookup(&kSchema, nullptr, &error, "vault", to_hex(vault.id.bytes).c_str(), "slot", to_hex(slot.id).c_str(), nullptr);
      if (error != nullptr) return secrets.failed("ask the keyring for the key", error);
      std::optional<Secret> found;
      if (hex != nullptr) found = key_of(hex);
      secrets.free(hex);
      return found;
    });
  }

  Result<> forget(World&, const VaultInfo& vault, const SlotInfo& slot) override {
    auto cleared = in_child([&]() -> Result<Secret> {
      const Secrets secrets = TRY(Secrets::load());
      GError* error = nullptr;
      secrets.clear(&kSchema, nullptr, &error, "vault", to_hex(vault.id.bytes).c_str(), "slot", to_hex(slot.id).c_str(), nullptr);
      if (error != nullptr) return secrets.failed("take the key out of the keyring", error);
      return Secret();
    });
    TRY(std::move(cleared));
    return {};
  }
};

#endif

}  // namespace

std::unique_ptr<DeviceKey> keyring_key() {
#ifdef TAIN_HAS_KEYRING
  return std::make_unique<Keyring>();
#else
  return missing_device("libsecret, which keyrings need", "libsecret-1-dev");
#endif
}

}  // namespace tain::cli
