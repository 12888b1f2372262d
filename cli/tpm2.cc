// SPDX-License-Identifier: Apache-2.0
#include "cli/device_key.h"

namespace tain::cli {
namespace {

using store::SlotId;
using store::SlotInfo;
using store::VaultInfo;

class Tpm2 final : public DeviceKey {
  static Error missing() {
    return Error(Code::unsupported, "this program was built without tss2-esys, which TPMs need").hint("install libtss2-dev and build again");
  }
  Result<Made> make(World&, const Arguments&, const VaultInfo&, const SlotId&) override { return missing(); }
  Result<std::optional<Secret>> open(World&, const Arguments&, const VaultInfo&, const SlotInfo&) override { return missing(); }
};

}  // namespace

std::unique_ptr<DeviceKey> tpm2_key() { return std::make_unique<Tpm2>(); }

}  // namespace tain::cli
