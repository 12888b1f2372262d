// SPDX-License-Identifier: Apache-2.0
// What every remote must do: one suite of tests for all implementations of sync/remote.h.
//
// An implementation adds itself with
//     INSTANTIATE_TEST_SUITE_P(File, RemoteConformance, testing::Values(&make_subject));
// The suite knows nothing of files or of HTTP: what has to be done behind a remote's back is in its RemoteSubject.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "sync/object_name.h"
#include "sync/remote.h"

namespace tain::sync {

/// An empty remote under test, and what is done to it behind its back.
class RemoteSubject {
 public:
  virtual ~RemoteSubject() = default;
  virtual Remote& remote() = 0;

  /// Stores these bytes under the name as a torn upload, or somebody else's tool, would have left them there.
  virtual void plant(const ObjectName& name, ByteView bytes) = 0;
  /// Puts things into the folder that are none of ours. How many of them a listing is to count.
  virtual uint64_t clutter(ObjectFolder folder) = 0;
  /// Begins to put the object, and is gone in the middle of it.
  virtual void die_in_put(const ObjectName& name, ByteView bytes) = 0;
  /// Whether never a part of an object is seen under its name. Not every remote can do that.
  virtual bool is_atomic() const { return true; }

  /// The errors that it can be brought to.
  virtual std::vector<Code> provocable() const = 0;
  /// From now on, requests meet what this code stands for; no_space only puts.
  virtual void provoke(Code code) = 0;
  /// The end of that. What was stored is still there.
  virtual void relent() = 0;
};

using MakeRemoteSubject = std::unique_ptr<RemoteSubject> (*)();

class RemoteConformance : public testing::TestWithParam<MakeRemoteSubject> {
 protected:
  RemoteSubject& subject() { return *subject_; }
  Remote& remote() { return subject_->remote(); }

 private:
  std::unique_ptr<RemoteSubject> subject_ = GetParam()();
};

/// A name that differs from one number to the next; in the folder for objects, 1024 numbers in a row are in 1024 shards.
ObjectName numbered_name(uint64_t number, ObjectFolder folder = ObjectFolder::objects);
/// Bytes that differ from one number to the next, and from one place to the next.
Bytes numbered_bytes(uint64_t number, size_t size);

/// All pages of a folder. EXPECTs inside: that each page says where the next begins, and that there is an end.
RemoteListing list_all(Remote& remote, ObjectFolder folder);

}  // namespace tain::sync
