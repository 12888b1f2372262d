// SPDX-License-Identifier: Apache-2.0
// Any bytes as a journal file, and any bytes as the payload of an authentic frame: never a crash, and what
// was taken from a payload can be told again by a frame of our own.
#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "base/check.h"
#include "base/secret.h"
#include "store/journal.h"
#include "store/working_set.h"

using namespace tain;
using namespace tain::store;

namespace {

/// What every run needs, made once: an empty database and a directory for it.
struct World {
  const bool ready = init_crypto().ok();  // before the first key
  std::string directory;
  Cipher cipher{MasterKey{Secret(32)}, VaultId{}, 1};
  std::unique_ptr<Env> env;
  std::unique_ptr<Database> database;

  World() {
    CHECK(ready);
    std::string pattern = (std::filesystem::temp_directory_path() / "tain-fuzz.XXXXXX").string();
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    directory = pattern;
    env = Env::open(directory + "/data.mdb", {.map_size_bytes = 1 << 24, .create = true}).value();
    database = std::make_unique<Database>(*env, cipher, 0);
    Inode root;
    root.ino = root.parent = kRootIno;
    root.mode = S_IFDIR | 0700;
    root.nlink = 2;
    Batch batch = Batch::begin(*database, {}).value();
    CHECK(batch.put_record(Table::inodes, ino_key(kRootIno), Kind::inode, kInodeSchema, encode_inode(root), true).ok());
    CHECK(std::move(batch).commit({}).ok());
  }
  ~World() { std::filesystem::remove_all(directory); }
};

World& world() {
  static World made;
  return made;
}

void check_file(ByteView bytes) {
  const std::string path = world().directory + "/journal";
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  CHECK(fd.valid() && write_exactly(fd.get(), bytes, 0).ok());
  auto journal = Journal::open(path, world().cipher).value();
  auto report = journal->replay({}, [](ByteView) -> Result<> { return {}; });
  CHECK(report.ok());
}

void check_payload(ByteView payload) {
  WorkingSet set(*world().database, system_clock(), {}, 1, {});
  std::lock_guard lock(set.mutex());
  auto replayed = set.replay_frame(payload);
  if (!replayed.ok()) return;
  // Our own frame of that state must be readable, too.
  const Bytes again = set.snapshot_frame();
  WorkingSet other(*world().database, system_clock(), {}, 1, {});
  std::lock_guard other_lock(other.mutex());
  CHECK(other.replay_frame(again).ok());
}

}  // namespace

/// The first byte chooses: a file, a file whose frame has a right checksum, or a payload.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView input(data + 1, size - 1);
  world();
  switch (data[0] % 4) {
    case 0: check_file(input); break;
    case 1: {
      // Sealed as the first frame of the store, so that it is not refused for its seal.
      Bytes frame;
      Writer w(frame);
      w.raw(as_bytes("TAINJNL1")).u32(static_cast<uint32_t>(input.size() + kSealOverhead)).u32(1).u64(1).raw(Id32{});
      w.raw(world().cipher.seal_frame(ByteView(frame).first(kFrameHeaderSize), input));
      w.raw(xxh3_128(frame));
      check_file(frame);
      break;
    }
    default: check_payload(input);
  }
  return 0;
}
