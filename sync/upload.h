// SPDX-License-Identifier: Apache-2.0
// Puts an object where it can be relied on, as far as a remote can be: a success alone proves nothing
// (docs/remote-protocol.md §4).
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "store/remote_cipher.h"
#include "sync/remote.h"
#include "sync/segment.h"

namespace tain::sync {

/// Puts the object and looks at the size that the remote has then. Errors: those of Remote::put; io: it has another size.
Result<> upload(Remote& remote, const ObjectName& name, ByteView object);

/// The same of a segment, after which it counts as published: so it is read back. Errors: also exists: somebody else
/// wrote this very segment, as only a copy of this vault that runs at the same time can. Nothing was changed then.
Result<> upload_segment(Remote& remote, const store::RemoteCipher& cipher, const store::PublicKey& key, WriterId writer,
                        uint64_t n, ByteView object);

}  // namespace tain::sync
