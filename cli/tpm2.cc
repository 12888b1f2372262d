// SPDX-License-Identifier: Apache-2.0
// Key slots whose key is sealed by the machine's TPM, and can be unsealed by that one only (ADR 17).
//
// The parent of the sealed object is made anew each time, from a template: a TPM derives the same key from the same
// template until it is cleared. So nothing is kept in the TPM, and nothing has to be set up before.
#include "cli/device_key.h"

#ifdef TAIN_HAS_TPM2
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

#include "base/bytes.h"
#include "cli/child.h"
#include "cli/library.h"
#include "cli/tpm2_blob.h"
#endif

namespace tain::cli {
namespace {

using store::SlotId;
using store::SlotInfo;
using store::VaultInfo;

#ifdef TAIN_HAS_TPM2

/// The kernel's resource manager. tpm2-tss by itself would go on to a simulator on a local port if there is no TPM, and
/// any program of this machine can listen there and be given keys to seal.
constexpr const char* kDefaultTcti = "device:/dev/tpmrm0";

/// What is used of tpm2-tss.
struct Tss {
  decltype(Tss2_TctiLdr_Initialize)* connect;
  decltype(Tss2_TctiLdr_Finalize)* disconnect;
  decltype(Tss2_MU_TPMT_PUBLIC_Marshal)* marshal_public;
  decltype(Tss2_MU_TPMT_PUBLIC_Unmarshal)* unmarshal_public;
  decltype(Esys_Initialize)* initialize;
  decltype(Esys_Finalize)* finalize;
  decltype(Esys_Free)* free;
  decltype(Esys_CreatePrimary)* create_primary;
  decltype(Esys_StartAuthSession)* start_session;
  decltype(Esys_TRSess_SetAttributes)* set_session_attributes;
  decltype(Esys_Create)* create;
  decltype(Esys_Load)* load_object;
  decltype(Esys_Unseal)* unseal;
  decltype(Esys_FlushContext)* flush;

  static Result<Tss> load() {
    const Library esys = TRY(Library::load("libtss2-esys.so.0", "libtss2-esys-3.0.2-0"));
    const Library loader = TRY(Library::load("libtss2-tctildr.so.0", "libtss2-tctildr0"));
    const Library mu = TRY(Library::load("libtss2-mu.so.0", "libtss2-esys-3.0.2-0"));
    const auto find = [](const Library& library, auto*& into, const char* name) {
      return (into = library.function<std::remove_reference_t<decltype(*into)>>(name)) != nullptr;
    };
    Tss out{};
    if (find(loader, out.connect, "Tss2_TctiLdr_Initialize") && find(loader, out.disconnect, "Tss2_TctiLdr_Finalize") &&
        find(mu, out.marshal_public, "Tss2_MU_TPMT_PUBLIC_Marshal") &&
        find(mu, out.unmarshal_public, "Tss2_MU_TPMT_PUBLIC_Unmarshal") && find(esys, out.initialize, "Esys_Initialize") &&
        find(esys, out.finalize, "Esys_Finalize") && find(esys, out.free, "Esys_Free") &&
        find(esys, out.create_primary, "Esys_CreatePrimary") && find(esys, out.start_session, "Esys_StartAuthSession") &&
        find(esys, out.set_session_attributes, "Esys_TRSess_SetAttributes") && find(esys, out.create, "Esys_Create") &&
        find(esys, out.load_object, "Esys_Load") && find(esys, out.unseal, "Esys_Unseal") &&
        find(esys, out.flush, "Esys_FlushContext"))
      return out;
    return Error(Code::unsupported, "libtss2-esys.so.0 is of a version that tain does not know");
  }
};

/// The TCG's template of an ECC P-256 storage key (TPM v2.0 Provisioning Guidance), with an empty `unique`. Another
/// template is another key: a change here makes every slot unreadable.
TPM2B_PUBLIC storage_key_template() {
  TPM2B_PUBLIC out{};
  TPMT_PUBLIC& area = out.publicArea;
  area.type = TPM2_ALG_ECC;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                          TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
  TPMS_ECC_PARMS& ecc = area.parameters.eccDetail;
  ecc.symmetric.algorithm = TPM2_ALG_AES;
  ecc.symmetric.keyBits.aes = 128;
  ecc.symmetric.mode.aes = TPM2_ALG_CFB;
  ecc.scheme.scheme = TPM2_ALG_NULL;
  ecc.curveID = TPM2_ECC_NIST_P256;
  ecc.kdf.scheme = TPM2_ALG_NULL;
  return out;
}

/// Of the sealed object. It has no password, and none that could be guessed wrong so often that the TPM locks up.
TPM2B_PUBLIC sealed_template() {
  TPM2B_PUBLIC out{};
  TPMT_PUBLIC& area = out.publicArea;
  area.type = TPM2_ALG_KEYEDHASH;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA;
  area.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
  return out;
}

/// The TPM's response code without the handle, session or parameter that it is about (TPM 2.0 part 2, 6.6); what other
/// layers of tpm2-tss say, as it is.
TSS2_RC response_code(TSS2_RC code) {
  const TSS2_RC layer = code & TSS2_RC_LAYER_MASK;
  if (layer != TSS2_TPM_RC_LAYER && layer != TSS2_RESMGR_TPM_RC_LAYER) return code;
  const TSS2_RC bare = code & ~TSS2_RC_LAYER_MASK;
  return (bare & TPM2_RC_FMT1) != 0 ? bare & (TPM2_RC_FMT1 | 0x3F) : bare;
}

Error failed(const std::string& what, TSS2_RC code) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", code);
  return Error(Code::io, "the TPM failed to " + what + ": error " + text).hint("a password or recovery words open the vault, too");
}

/// What kept tpm2-tss from reaching a TPM, of which it says no more than that.
Error unreachable(const std::string& tcti) {
  constexpr std::string_view kDevice = "device:";
  const std::string path = tcti.starts_with(kDevice) ? tcti.substr(kDevice.size()) : std::string();
  const int error = !path.empty() && ::access(path.c_str(), R_OK | W_OK) != 0 ? errno : 0;
  if (error == EACCES || error == EPERM)
    return Error(Code::access_denied, "this user may not use the TPM " + path).hint("add the user to the group that has it (tss), and log in again");
  if (tcti == kDefaultTcti)
    return Error(Code::not_found, "there is no TPM: " + path + (error == ENOENT ? " is missing" : " does not answer"))
        .hint("it may be switched off in the firmware's settings; a password or recovery words open the vault, too");
  return Error(Code::not_found, "there is no TPM at " + tcti).hint("TAIN_TPM2_TCTI says so; a password or recovery words open the vault, too");
}

/// A TPM with the storage key derived, and a session with it whose parameters are encrypted. For a child process: see
/// cli/child.h.
class Tpm {
 public:
  /// Errors: unsupported, not_found, access_denied, not_permitted, io.
  static Result<std::unique_ptr<Tpm>> open(const std::string& tcti);
  ~Tpm();
  Tpm(const Tpm&) = delete;
  Tpm& operator=(const Tpm&) = delete;

  /// A slot's extra that has `key`, which is short. Errors: unsupported, io.
  Result<Bytes> seal(const Secret& key) const;
  /// What was sealed; nothing when it was by another TPM, or before this one was cleared.
  /// Errors: header_damaged, io.
  Result<std::optional<Secret>> unseal(const Tpm2Blob& blob) const;

 private:
  explicit Tpm(const Tss& tss) : tss_(tss) {}
  Result<> derive_storage_key();
  Result<> start_session();
  template <class T>
  auto owned(T* pointer) const { return std::unique_ptr<T, decltype(Esys_Free)*>(pointer, tss_.free); }

  const Tss tss_;
  TSS2_TCTI_CONTEXT* tcti_ = nullptr;
  ESYS_CONTEXT* esys_ = nullptr;
  ESYS_TR storage_key_ = ESYS_TR_NONE;
  ESYS_TR session_ = ESYS_TR_NONE;
};

Result<std::unique_ptr<Tpm>> Tpm::open(const std::string& tcti) {
  // It writes to standard error for everything that tain puts in words. An own wish of the user stays.
  ::setenv("TSS2_LOG", "all+NONE", 0);  // NOLINT(concurrency-mt-unsafe): a child process has one thread
  std::unique_ptr<Tpm> out(new Tpm(TRY(Tss::load())));
  if (out->tss_.connect(tcti.c_str(), &out->tcti_) != TSS2_RC_SUCCESS) return unreachable(tcti);
  if (const TSS2_RC code = out->tss_.initialize(&out->esys_, out->tcti_, nullptr); code != TSS2_RC_SUCCESS) return failed("start", code);
  TRY(out->derive_storage_key());
  TRY(out->start_session());
  return out;
}

Tpm::~Tpm() {
  if (session_ != ESYS_TR_NONE) tss_.flush(esys_, session_);
  if (storage_key_ != ESYS_TR_NONE) tss_.flush(esys_, storage_key_);
  if (esys_ != nullptr) tss_.finalize(&esys_);
  if (tcti_ != nullptr) tss_.disconnect(&tcti_);
}

Result<> Tpm::derive_storage_key() {
  const TPM2B_PUBLIC area = storage_key_template();
  const TPM2B_SENSITIVE_CREATE no_password{};
  const TPM2B_DATA no_info{};
  const TPML_PCR_SELECTION no_registers{};
  const TSS2_RC code = tss_.create_primary(esys_, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &no_password, &area,
                                           &no_info, &no_registers, &storage_key_, nullptr, nullptr, nullptr, nullptr);
  if (code == TSS2_RC_SUCCESS) return {};
  const TSS2_RC response = response_code(code);
  if (response == TPM2_RC_BAD_AUTH || response == TPM2_RC_AUTH_FAIL)
    return Error(Code::not_permitted, "the TPM's owner hierarchy has a password, which tain cannot give")
        .hint("tpm2_changeauth -c owner takes it off; a password or recovery words open the vault, too");
  return failed("derive its storage key", code);
}

Result<> Tpm::start_session() {
  // Salted with the storage key: only the TPM learns what the parameters are encrypted with, not who listens on the bus.
  TPMT_SYM_DEF cipher{};
  cipher.algorithm = TPM2_ALG_AES;
  cipher.keyBits.aes = 128;
  cipher.mode.aes = TPM2_ALG_CFB;
  TSS2_RC code = tss_.start_session(esys_, storage_key_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, TPM2_SE_HMAC,
                                    &cipher, TPM2_ALG_SHA256, &session_);
  if (code != TSS2_RC_SUCCESS) return failed("start an encrypted session", code);
  constexpr TPMA_SESSION kAttributes = TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
  code = tss_.set_session_attributes(esys_, session_, kAttributes, 0xFF);
  if (code != TSS2_RC_SUCCESS) return failed("start an encrypted session", code);
  return {};
}

Result<Bytes> Tpm::seal(const Secret& key) const {
  TPM2B_SENSITIVE_CREATE sensitive{};
  TPM2B_SENSITIVE_DATA& data = sensitive.sensitive.data;
  if (key.size() > sizeof data.buffer) return Error(Code::invalid_argument, "too long for a TPM");
  data.size = static_cast<UINT16>(key.size());
  std::copy(key.view().begin(), key.view().end(), data.buffer);
  const TPM2B_PUBLIC area = sealed_template();
  const TPM2B_DATA no_info{};
  const TPML_PCR_SELECTION no_registers{};
  TPM2B_PRIVATE* private_made = nullptr;
  TPM2B_PUBLIC* public_made = nullptr;
  TSS2_RC code = tss_.create(esys_, storage_key_, session_, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &area, &no_info, &no_registers,
                             &private_made, &public_made, nullptr, nullptr, nullptr);
  const auto private_part = owned(private_made);
  const auto public_part = owned(public_made);
  wipe({data.buffer, sizeof data.buffer});
  if (code != TSS2_RC_SUCCESS) return failed("seal a key", code);

  Bytes marshalled(sizeof(TPMT_PUBLIC));
  size_t size = 0;
  code = tss_.marshal_public(&public_part->publicArea, marshalled.data(), marshalled.size(), &size);
  if (code != TSS2_RC_SUCCESS) return failed("seal a key", code);
  return encode_tpm2_blob({.private_part = {private_part->buffer, private_part->size}, .public_part = ByteView(marshalled).first(size)});
}

Result<std::optional<Secret>> Tpm::unseal(const Tpm2Blob& blob) const {
  const Error malformed(Code::header_damaged, "the key slot of the TPM is malformed");
  TPM2B_PRIVATE private_part{};
  if (blob.private_part.size() > sizeof private_part.buffer) return malformed;
  private_part.size = static_cast<UINT16>(blob.private_part.size());
  std::copy(blob.private_part.begin(), blob.private_part.end(), private_part.buffer);
  TPM2B_PUBLIC public_part{};
  size_t size = 0;
  TSS2_RC code = tss_.unmarshal_public(blob.public_part.data(), blob.public_part.size(), &size, &public_part.publicArea);
  if (code != TSS2_RC_SUCCESS || size != blob.public_part.size()) return malformed;

  ESYS_TR object = ESYS_TR_NONE;
  code = tss_.load_object(esys_, storage_key_, session_, ESYS_TR_NONE, ESYS_TR_NONE, &private_part, &public_part, &object);
  // The private part has a MAC under the storage key, which is the first thing that the TPM looks at.
  if (response_code(code) == TPM2_RC_INTEGRITY) return std::optional<Secret>();
  if (code != TSS2_RC_SUCCESS) return failed("load the sealed key", code);
  TPM2B_SENSITIVE_DATA* made = nullptr;
  code = tss_.unseal(esys_, object, session_, ESYS_TR_NONE, ESYS_TR_NONE, &made);
  const auto data = owned(made);
  tss_.flush(esys_, object);
  if (code != TSS2_RC_SUCCESS) return failed("unseal the key", code);
  std::optional<Secret> out = Secret::copy_of({data->buffer, data->size});
  wipe({data->buffer, sizeof data->buffer});
  return out;
}

class Tpm2 final : public DeviceKey {
 public:
  Result<Made> make(World& world, const Arguments&, const VaultInfo&, const SlotId&) override {
    Secret key = Secret::random(store::kDeviceKeySize);
    const std::string tcti = tcti_of(world);
    auto sealed = in_child([&]() -> Result<Secret> {
      const auto tpm = TRY(Tpm::open(tcti));
      const Bytes extra = TRY(tpm->seal(key));
      // What the vault proves before it writes the slot is the key in memory; that the TPM yields it again is proven here.
      const Tpm2Blob blob = TRY(parse_tpm2_blob(extra));
      const std::optional<Secret> again = TRY(tpm->unseal(blob));
      if (!again || !again->equals(key)) return Error(Code::io, "the TPM does not yield the key that it has just sealed");
      return Secret::copy_of(extra);
    });
    const Secret extra = TRY(std::move(sealed));
    return Made{std::move(key), Bytes(extra.view().begin(), extra.view().end())};
  }

  Result<std::optional<Secret>> open(World& world, const Arguments&, const VaultInfo&, const SlotInfo& slot) override {
    const Tpm2Blob blob = TRY(parse_tpm2_blob(slot.extra));
    const std::string tcti = tcti_of(world);
    return ask_in_child([&]() -> Result<std::optional<Secret>> {
      const auto tpm = TRY(Tpm::open(tcti));
      std::optional<Secret> key = TRY(tpm->unseal(blob));
      if (key && key->size() != store::kDeviceKeySize) return Error(Code::header_damaged, "what the TPM has sealed is not a key of a vault");
      return key;
    });
  }

 private:
  static std::string tcti_of(const World& world) {
    std::string chosen = world.env("TAIN_TPM2_TCTI");
    return chosen.empty() ? kDefaultTcti : chosen;
  }
};

#endif

}  // namespace

std::unique_ptr<DeviceKey> tpm2_key() {
#ifdef TAIN_HAS_TPM2
  return std::make_unique<Tpm2>();
#else
  return missing_device("tss2-esys, which TPMs need", "libtss2-dev");
#endif
}

}  // namespace tain::cli
