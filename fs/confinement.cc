// SPDX-License-Identifier: Apache-2.0
#include "fs/confinement.h"

namespace tain::fs {

Result<Confinement> confine(const Reach& reach) {
  Confinement done;
#ifndef TAIN_SANITIZED  // the sanitizers' runtime needs what is refused
  done.landlock_abi = TRY(detail::confine_files(reach));
  done.system_calls = TRY(detail::confine_system_calls());
#else
  static_cast<void>(reach);
#endif
  return done;
}

}  // namespace tain::fs
