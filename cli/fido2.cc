// SPDX-License-Identifier: Apache-2.0
#include "cli/device_key.h"

namespace tain::cli {
namespace {

using store::SlotId;
using store::SlotInfo;
using store::VaultInfo;

class Fido2 final : public DeviceKey {
  static Error missing() {
    return Error(Code::unsupported, "this program was built without libfido2, which FIDO2 tokens need").hint("install libfido2-dev and build again");
  }
  Result<Made> make(World&, const Arguments&, const VaultInfo&, const SlotId&) override { return missing(); }
  Result<std::optional<Secret>> open(World&, const Arguments&, const VaultInfo&, const SlotInfo&) override { return missing(); }
};

}  // namespace

std::unique_ptr<DeviceKey> fido2_key() { return std::make_unique<Fido2>(); }

}  // namespace tain::cli
