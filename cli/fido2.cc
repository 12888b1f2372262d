// SPDX-License-Identifier: Apache-2.0
// Key slots whose key is what a FIDO2 token answers to a salt: the extension hmac-secret (CTAP 2.1 §12.5, ADR 17).
//
// Two processes are started for each key. The first finds the token and says whether it wants its PIN, so that nobody
// types one for nothing and no other token counts it as a wrong one. The second asks for the key.
#include "cli/device_key.h"

#ifdef TAIN_HAS_FIDO2
#include <fido.h>
#include <fido/err.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <initializer_list>
#include <string_view>

#include "base/bytes.h"
#include "cli/child.h"
#include "cli/fido2_slot.h"
#include "cli/library.h"
#include "cli/password.h"
#endif

namespace tain::cli {
namespace {

using store::SlotId;
using store::SlotInfo;
using store::VaultInfo;

#ifdef TAIN_HAS_FIDO2

constexpr const char* kRelyingParty = "tain";
constexpr const char* kHmacSecret = "hmac-secret";
constexpr const char* kPinPrompt = "PIN of the FIDO2 token: ";
constexpr size_t kPinMin = 4, kPinMax = 63;  // bytes (CTAP 2.1 §6.5.1)
constexpr size_t kTokensMax = 16;            // that are looked at
constexpr int kTimeoutMs = 90'000;           // for one answer; tokens wait about 30 seconds for a touch

/// What is used of libfido2. It is loaded in the processes that in_child() starts, and only there.
struct Fido {
  decltype(fido_init)* init;
  decltype(fido_strerr)* strerr;
  decltype(fido_dev_info_new)* dev_info_new;
  decltype(fido_dev_info_free)* dev_info_free;
  decltype(fido_dev_info_manifest)* dev_info_manifest;
  decltype(fido_dev_info_ptr)* dev_info_ptr;
  decltype(fido_dev_info_path)* dev_info_path;
  decltype(fido_dev_new)* dev_new;
  decltype(fido_dev_free)* dev_free;
  decltype(fido_dev_open)* dev_open;
  decltype(fido_dev_close)* dev_close;
  decltype(fido_dev_set_timeout)* dev_set_timeout;
  decltype(fido_dev_is_fido2)* dev_is_fido2;
  decltype(fido_dev_has_pin)* dev_has_pin;
  decltype(fido_dev_get_retry_count)* dev_get_retry_count;
  decltype(fido_dev_get_cbor_info)* dev_get_cbor_info;
  decltype(fido_cbor_info_new)* cbor_info_new;
  decltype(fido_cbor_info_free)* cbor_info_free;
  decltype(fido_cbor_info_extensions_ptr)* cbor_info_extensions_ptr;
  decltype(fido_cbor_info_extensions_len)* cbor_info_extensions_len;
  decltype(fido_cred_new)* cred_new;
  decltype(fido_cred_free)* cred_free;
  decltype(fido_cred_set_type)* cred_set_type;
  decltype(fido_cred_set_clientdata_hash)* cred_set_clientdata_hash;
  decltype(fido_cred_set_rp)* cred_set_rp;
  decltype(fido_cred_set_user)* cred_set_user;
  decltype(fido_cred_set_extensions)* cred_set_extensions;
  decltype(fido_cred_set_rk)* cred_set_rk;
  decltype(fido_dev_make_cred)* dev_make_cred;
  decltype(fido_cred_id_ptr)* cred_id_ptr;
  decltype(fido_cred_id_len)* cred_id_len;
  decltype(fido_assert_new)* assert_new;
  decltype(fido_assert_free)* assert_free;
  decltype(fido_assert_set_rp)* assert_set_rp;
  decltype(fido_assert_set_clientdata_hash)* assert_set_clientdata_hash;
  decltype(fido_assert_allow_cred)* assert_allow_cred;
  decltype(fido_assert_set_extensions)* assert_set_extensions;
  decltype(fido_assert_set_hmac_salt)* assert_set_hmac_salt;
  decltype(fido_assert_set_up)* assert_set_up;
  decltype(fido_dev_get_assert)* dev_get_assert;
  decltype(fido_assert_count)* assert_count;
  decltype(fido_assert_hmac_secret_ptr)* assert_hmac_secret_ptr;
  decltype(fido_assert_hmac_secret_len)* assert_hmac_secret_len;

  /// Errors: unsupported.
  static Result<Fido> load() {
    const Library library = TRY(Library::load("libfido2.so.1", "libfido2-1"));
    const auto find = [&]<class F>(F*& into, const char* name) { return (into = library.function<F>(name)) != nullptr; };
    Fido out{};
    if (find(out.init, "fido_init") && find(out.strerr, "fido_strerr") && find(out.dev_info_new, "fido_dev_info_new") &&
        find(out.dev_info_free, "fido_dev_info_free") && find(out.dev_info_manifest, "fido_dev_info_manifest") &&
        find(out.dev_info_ptr, "fido_dev_info_ptr") && find(out.dev_info_path, "fido_dev_info_path") &&
        find(out.dev_new, "fido_dev_new") && find(out.dev_free, "fido_dev_free") && find(out.dev_open, "fido_dev_open") &&
        find(out.dev_close, "fido_dev_close") && find(out.dev_set_timeout, "fido_dev_set_timeout") &&
        find(out.dev_is_fido2, "fido_dev_is_fido2") && find(out.dev_has_pin, "fido_dev_has_pin") &&
        find(out.dev_get_retry_count, "fido_dev_get_retry_count") && find(out.dev_get_cbor_info, "fido_dev_get_cbor_info") &&
        find(out.cbor_info_new, "fido_cbor_info_new") && find(out.cbor_info_free, "fido_cbor_info_free") &&
        find(out.cbor_info_extensions_ptr, "fido_cbor_info_extensions_ptr") &&
        find(out.cbor_info_extensions_len, "fido_cbor_info_extensions_len") && find(out.cred_new, "fido_cred_new") &&
        find(out.cred_free, "fido_cred_free") && find(out.cred_set_type, "fido_cred_set_type") &&
        find(out.cred_set_clientdata_hash, "fido_cred_set_clientdata_hash") && find(out.cred_set_rp, "fido_cred_set_rp") &&
        find(out.cred_set_user, "fido_cred_set_user") && find(out.cred_set_extensions, "fido_cred_set_extensions") &&
        find(out.cred_set_rk, "fido_cred_set_rk") && find(out.dev_make_cred, "fido_dev_make_cred") &&
        find(out.cred_id_ptr, "fido_cred_id_ptr") && find(out.cred_id_len, "fido_cred_id_len") &&
        find(out.assert_new, "fido_assert_new") && find(out.assert_free, "fido_assert_free") &&
        find(out.assert_set_rp, "fido_assert_set_rp") && find(out.assert_set_clientdata_hash, "fido_assert_set_clientdata_hash") &&
        find(out.assert_allow_cred, "fido_assert_allow_cred") && find(out.assert_set_extensions, "fido_assert_set_extensions") &&
        find(out.assert_set_hmac_salt, "fido_assert_set_hmac_salt") && find(out.assert_set_up, "fido_assert_set_up") &&
        find(out.dev_get_assert, "fido_dev_get_assert") && find(out.assert_count, "fido_assert_count") &&
        find(out.assert_hmac_secret_ptr, "fido_assert_hmac_secret_ptr") &&
        find(out.assert_hmac_secret_len, "fido_assert_hmac_secret_len")) {
      out.init(FIDO_DISABLE_U2F_FALLBACK);
      return out;
    }
    return Error(Code::unsupported, "libfido2.so.1 is of a version that tain does not know");
  }
};

/// An object of libfido2, freed by it.
template <class T>
using Owned = std::unique_ptr<T, std::function<void(T*)>>;

Error no_memory() { return Error(Code::memory, "no memory for libfido2"); }

/// The first failure of several calls.
int first_failure(std::initializer_list<int> codes) {
  const auto* const found = std::find_if(codes.begin(), codes.end(), [](int code) { return code != FIDO_OK; });
  return found == codes.end() ? FIDO_OK : *found;
}

bool is_foreign(int code) { return code == FIDO_ERR_NO_CREDENTIALS || code == FIDO_ERR_INVALID_CREDENTIAL; }

/// A token that is open.
class Token {
 public:
  /// Errors: not_found (nothing at `path`), unsupported (it knows U2F only), io.
  static Result<Token> open(const Fido& fido, const std::string& path) {
    if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT)
      return Error(Code::not_found, "there is no FIDO2 token at " + path).hint("plug it in, or see what TAIN_FIDO2_DEVICE names");
    Owned<fido_dev_t> device(fido.dev_new(), [&fido](fido_dev_t* dev) {
      fido.dev_close(dev);
      fido.dev_free(&dev);
    });
    if (!device) return no_memory();
    const int code = fido.dev_open(device.get(), path.c_str());
    if (code != FIDO_OK)
      return Error(Code::io, "open the FIDO2 token " + path + ": " + fido.strerr(code))
          .hint("may this user read and write it? plug it in again; a password opens the vault, too");
    if (!fido.dev_is_fido2(device.get()))
      return Error(Code::unsupported, "the token " + path + " knows U2F only").hint("hmac-secret needs a FIDO2 token");
    fido.dev_set_timeout(device.get(), kTimeoutMs);
    return Token(fido, std::move(device));
  }

  bool has_pin() const { return fido_->dev_has_pin(device_.get()); }

  /// Whether it can keep keys at all. Errors: unsupported, io.
  Result<> check_hmac_secret() const {
    const Owned<fido_cbor_info_t> info(fido_->cbor_info_new(), [fido = fido_](fido_cbor_info_t* in) { fido->cbor_info_free(&in); });
    if (!info) return no_memory();
    if (const int code = fido_->dev_get_cbor_info(device_.get(), info.get()); code != FIDO_OK) return failed(code);
    char** const names = fido_->cbor_info_extensions_ptr(info.get());
    for (size_t i = 0; i < fido_->cbor_info_extensions_len(info.get()); ++i)
      if (names[i] != nullptr && std::string_view(names[i]) == kHmacSecret) return {};
    return Error(Code::unsupported, "this token does not know hmac-secret, so it can keep no key")
        .hint("most FIDO2 tokens do; tain key add has other kinds of keys, too");
  }

  /// A new credential's id. Waits for a touch. `pin`: null if the token has none.
  Result<Bytes> make_credential(const char* pin) const {
    const Owned<fido_cred_t> made(fido_->cred_new(), [fido = fido_](fido_cred_t* in) { fido->cred_free(&in); });
    if (!made) return no_memory();
    // Nobody verifies the signature: the key is proven when the slot is opened before the header is written.
    const auto hash = random_array<32>(), user = random_array<32>();
    fido_cred_t* const in = made.get();
    int code = first_failure({fido_->cred_set_type(in, COSE_ES256), fido_->cred_set_clientdata_hash(in, hash.data(), hash.size()),
                              fido_->cred_set_rp(in, kRelyingParty, kRelyingParty),
                              fido_->cred_set_user(in, user.data(), user.size(), kRelyingParty, kRelyingParty, nullptr),
                              fido_->cred_set_extensions(in, FIDO_EXT_HMAC_SECRET), fido_->cred_set_rk(in, FIDO_OPT_FALSE)});
    if (code == FIDO_OK) code = fido_->dev_make_cred(device_.get(), in, pin);
    if (code != FIDO_OK) return failed(code);
    const unsigned char* const id = fido_->cred_id_ptr(in);
    return Bytes(id, id + fido_->cred_id_len(in));
  }

  /// Whether it made that credential, as far as it tells without a touch and a PIN: FIDO_OK, one that is_foreign(), or
  /// another failure of a token that does not tell.
  Result<int> probe(ByteView credential) const {
    const Owned<fido_assert_t> assertion = new_assertion();
    if (!assertion) return no_memory();
    const int code = prepare(assertion.get(), credential, FIDO_OPT_FALSE);
    return code != FIDO_OK ? code : fido_->dev_get_assert(device_.get(), assertion.get(), nullptr);
  }

  /// The key of a slot. Waits for a touch. Nothing: the credential is of another token.
  Result<std::optional<Secret>> key(const Fido2Slot& slot, const char* pin) const {
    const Owned<fido_assert_t> assertion = new_assertion();
    if (!assertion) return no_memory();
    fido_assert_t* const in = assertion.get();
    int code = first_failure({prepare(in, slot.credential, FIDO_OPT_TRUE), fido_->assert_set_extensions(in, FIDO_EXT_HMAC_SECRET),
                              fido_->assert_set_hmac_salt(in, slot.salt.data(), slot.salt.size())});
    if (code == FIDO_OK) code = fido_->dev_get_assert(device_.get(), in, pin);
    if (is_foreign(code)) return std::optional<Secret>();
    if (code != FIDO_OK) return failed(code);
    const unsigned char* const answer = fido_->assert_count(in) == 1 ? fido_->assert_hmac_secret_ptr(in, 0) : nullptr;
    if (answer == nullptr || fido_->assert_hmac_secret_len(in, 0) != store::kDeviceKeySize)
      return Error(Code::io, "the token answered without a key").hint("a password opens the vault");
    Secret out = Secret::copy_of({answer, store::kDeviceKeySize});
    // The library's own memory, of which it hands out a constant view.
    wipe({const_cast<unsigned char*>(answer), store::kDeviceKeySize});
    return std::optional<Secret>(std::move(out));
  }

 private:
  Token(const Fido& fido, Owned<fido_dev_t> device) : fido_(&fido), device_(std::move(device)) {}

  Owned<fido_assert_t> new_assertion() const {
    return {fido_->assert_new(), [fido = fido_](fido_assert_t* in) { fido->assert_free(&in); }};
  }
  int prepare(fido_assert_t* in, ByteView credential, fido_opt_t touch) const {
    const auto hash = random_array<32>();
    return first_failure({fido_->assert_set_rp(in, kRelyingParty), fido_->assert_set_clientdata_hash(in, hash.data(), hash.size()),
                          fido_->assert_allow_cred(in, credential.data(), credential.size()), fido_->assert_set_up(in, touch)});
  }

  /// What the status of an operation (CTAP 2.1 §8.2) means for who waits.
  Error failed(int code) const {
    switch (code) {
      case FIDO_ERR_PIN_INVALID: {
        int tries = 0;
        std::string left;
        if (fido_->dev_get_retry_count(device_.get(), &tries) == FIDO_OK)
          left = tries == 1 ? "; 1 try is left" : "; " + std::to_string(tries) + " tries are left";
        return Error(Code::wrong_password, "wrong PIN of the FIDO2 token" + left)
            .hint("without a try left it locks itself for good; a password opens the vault, too");
      }
      case FIDO_ERR_PIN_AUTH_BLOCKED:
        return Error(Code::not_permitted, "the FIDO2 token takes no PIN any more, after several wrong ones in a row")
            .hint("pull it out, plug it in, and try again");
      case FIDO_ERR_PIN_BLOCKED:
        return Error(Code::not_permitted, "the FIDO2 token is locked for good, after too many wrong PINs")
            .hint("open the vault with a password; resetting the token makes it usable again, and destroys its keys");
      case FIDO_ERR_PIN_REQUIRED:
      case FIDO_ERR_PIN_NOT_SET:
        return Error(Code::not_permitted, "the FIDO2 token insists on a PIN, and the key slot is of one without")
            .hint("open the vault with a password, set a PIN if the token has none, and make a new key slot: tain key add");
      case FIDO_ERR_USER_ACTION_TIMEOUT:
      case FIDO_ERR_ACTION_TIMEOUT:
        return Error(Code::io, "nobody touched the FIDO2 token in time").hint("try again, and touch it when it blinks");
      case FIDO_ERR_OPERATION_DENIED:
      case FIDO_ERR_KEEPALIVE_CANCEL:
        return Error(Code::not_permitted, "the answer was refused at the FIDO2 token").hint("try again, and touch it when it blinks");
      case FIDO_ERR_TX:
      case FIDO_ERR_RX:
        return Error(Code::io, "the FIDO2 token does not answer").hint("plug it in again; a password opens the vault, too");
      default:
        return Error(Code::io, std::string("the FIDO2 token refuses: ") + fido_->strerr(code)).hint("a password opens the vault, too");
    }
  }

  const Fido* fido_;
  Owned<fido_dev_t> device_;
};

/// The paths of all tokens, or the one that the user names.
Result<std::vector<std::string>> token_paths(const Fido& fido, const std::string& named) {
  if (!named.empty()) return std::vector<std::string>{named};
  const Owned<fido_dev_info_t> found(fido.dev_info_new(kTokensMax), [&fido](fido_dev_info_t* in) { fido.dev_info_free(&in, kTokensMax); });
  if (!found) return no_memory();
  size_t count = 0;
  if (const int code = fido.dev_info_manifest(found.get(), kTokensMax, &count); code != FIDO_OK)
    return Error(Code::io, std::string("look for FIDO2 tokens: ") + fido.strerr(code));
  std::vector<std::string> out;
  for (size_t i = 0; i < count; ++i)
    if (const char* const path = fido.dev_info_path(fido.dev_info_ptr(found.get(), i)); path != nullptr) out.emplace_back(path);
  if (out.empty())
    return Error(Code::not_found, "there is no FIDO2 token")
        .hint("plug it in; if it is, may this user read and write its /dev/hidraw…? a password opens the vault, too");
  return out;
}

/// Of the token for a new slot: a byte, 1 if it has a PIN, and the path. Errors: not_found, invalid_argument (several), those of Token.
Result<Secret> find_new(const std::string& named) {
  const Fido fido = TRY(Fido::load());
  const std::vector<std::string> paths = TRY(token_paths(fido, named));
  if (paths.size() > 1) {
    std::string all;
    for (const std::string& path : paths) all += (all.empty() ? "" : ", ") + path;
    return Error(Code::invalid_argument, "there are several FIDO2 tokens: " + all)
        .hint("leave one plugged in, or name it: TAIN_FIDO2_DEVICE=" + paths[0]);
  }
  const Token token = TRY(Token::open(fido, paths[0]));
  TRY(token.check_hmac_secret());
  Bytes answer;
  Writer(answer).u8(token.has_pin() ? 1 : 0).raw(as_bytes(paths[0]));
  return Secret::copy_of(answer);
}

/// The path of the token that made the credential. Empty: none did. Errors: not_found, those of Token if none opens.
Result<Secret> find_owner(const std::string& named, ByteView credential) {
  const Fido fido = TRY(Fido::load());
  std::string perhaps;
  std::optional<Error> trouble;
  bool asked = false;
  const std::vector<std::string> paths = TRY(token_paths(fido, named));
  for (const std::string& path : paths) {
    const auto token = Token::open(fido, path);
    if (!token.ok()) {
      trouble = token.error();
      continue;
    }
    asked = true;
    const int code = TRY(token->probe(credential));
    if (code == FIDO_OK) return Secret::copy_of(as_bytes(path));
    if (!is_foreign(code) && perhaps.empty()) perhaps = path;
  }
  if (!asked && trouble) return *trouble;
  return Secret::copy_of(as_bytes(perhaps));
}

/// Null-terminated, as libfido2 wants it. Errors: wrong_password (it cannot be a PIN, so the token is spared the try).
Result<Secret> terminated(const Secret& pin) {
  if (pin.size() < kPinMin || pin.size() > kPinMax)
    return Error(Code::wrong_password, "a PIN of a FIDO2 token has " + std::to_string(kPinMin) + " to " + std::to_string(kPinMax) + " bytes")
        .hint("the token was not asked, so no try is lost");
  Secret out(pin.size() + 1);
  std::copy(pin.view().begin(), pin.view().end(), out.span().begin());
  return out;
}

/// Empty if the slot is of a token without one.
Result<Secret> pin_for(World& world, const Arguments& arguments, const Fido2Slot& slot, PinOf of) {
  if (!slot.asks_for_pin) return Secret();
  const Secret typed = TRY(read_pin(world, arguments, of, kPinPrompt));
  return terminated(typed);
}

const char* text_of(const Secret& terminated) { return terminated.empty() ? nullptr : as_text(terminated.view()).data(); }

class Fido2 final : public DeviceKey {
 public:
  Result<Made> make(World& world, const Arguments& arguments, const VaultInfo&, const SlotId&) override {
    const std::string named = world.env("TAIN_FIDO2_DEVICE");
    auto found = in_child([&] { return find_new(named); });
    const Secret answer = TRY(std::move(found));
    const std::string path(as_text(answer.view().subspan(1)));
    Fido2Slot slot{.asks_for_pin = answer.view()[0] != 0, .salt = random_array<32>(), .credential = {}};
    const Secret pin = TRY(pin_for(world, arguments, slot, PinOf::new_slot));

    note(world, "touch the FIDO2 token, twice: it makes a key, and yields it");
    auto made = in_child([&]() -> Result<Secret> {
      const Fido fido = TRY(Fido::load());
      const Token token = TRY(Token::open(fido, path));
      slot.credential = TRY(token.make_credential(text_of(pin)));
      TRY(encode(slot));  // before it is touched again for nothing
      const std::optional<Secret> key = TRY(token.key(slot, text_of(pin)));
      if (!key) return Error(Code::io, "the FIDO2 token does not know the credential that it has just made");
      Secret both(key->size() + slot.credential.size());
      std::copy(key->view().begin(), key->view().end(), both.span().begin());
      std::copy(slot.credential.begin(), slot.credential.end(), both.span().begin() + static_cast<ptrdiff_t>(key->size()));
      return both;
    });
    const Secret both = TRY(std::move(made));
    const ByteView credential = both.view().subspan(store::kDeviceKeySize);
    slot.credential.assign(credential.begin(), credential.end());
    return Made{Secret::copy_of(both.view().first(store::kDeviceKeySize)), TRY(encode(slot))};
  }

  Result<std::optional<Secret>> open(World& world, const Arguments& arguments, const VaultInfo&, const SlotInfo& info) override {
    const Fido2Slot slot = TRY(parse_fido2_slot(info.extra));
    const std::string named = world.env("TAIN_FIDO2_DEVICE");
    auto found = in_child([&] { return find_owner(named, slot.credential); });
    const Secret path = TRY(std::move(found));
    if (path.empty()) return std::optional<Secret>();
    const Secret pin = TRY(pin_for(world, arguments, slot, PinOf::slot));

    note(world, "touch the FIDO2 token");
    return ask_in_child([&]() -> Result<std::optional<Secret>> {
      const Fido fido = TRY(Fido::load());
      const Token token = TRY(Token::open(fido, std::string(as_text(path.view()))));
      return token.key(slot, text_of(pin));
    });
  }
};

#endif

}  // namespace

std::unique_ptr<DeviceKey> fido2_key() {
#ifdef TAIN_HAS_FIDO2
  return std::make_unique<Fido2>();
#else
  return missing_device("libfido2, which FIDO2 tokens need", "libfido2-dev");
#endif
}

}  // namespace tain::cli
