// SPDX-License-Identifier: Apache-2.0
#include "sync/upload.h"

#include <algorithm>
#include <string>

namespace tain::sync {

namespace {

bool is_same(ByteView a, ByteView b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

Error stored_otherwise(const std::string& what) {
  return Error(Code::io, "the remote says that it took an object, and has " + what)
      .hint("it is tried again; if this stays so, the server or something on the way to it is broken");
}

}  // namespace

Result<> upload(Remote& remote, const ObjectName& name, ByteView object) {
  TRY(remote.put(name, object));
  const auto size = TRY(remote.stat(name));
  if (!size.has_value()) return stored_otherwise("nothing under its name");
  if (*size != object.size())
    return stored_otherwise(std::to_string(*size) + " of " + std::to_string(object.size()) + " bytes");
  return {};
}

Result<> upload_segment(Remote& remote, const store::RemoteCipher& cipher, const store::PublicKey& key, WriterId writer,
                        uint64_t n, ByteView object) {
  const ObjectName name = segment_name(cipher, writer, n);
  // What is there already is this one, from a try of which the answer was lost; or it is damaged, and put again; or a
  // segment that this device did not write, though it is signed with its key.
  const auto there = remote.get(name, kSegmentObjectMax);
  if (there.ok() && is_same(*there, object)) return {};
  if (there.ok() && open_segment(cipher, key, writer, n, *there).ok())
    return Error(Code::exists, "another copy of this vault publishes as this device")
        .hint("this one goes on as a device of its own");
  if (!there.ok() && !there.is(Code::not_found) && !there.is(Code::too_large)) return there.error();

  TRY(upload(remote, name, object));
  if (!is_same(TRY(remote.get(name, kSegmentObjectMax)), object)) return stored_otherwise("another one");
  return {};
}

}  // namespace tain::sync
