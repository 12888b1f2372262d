// SPDX-License-Identifier: Apache-2.0
// The journal: frames come back in order and once, torn and foreign ones do not, damage is noticed.
#include "store/journal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "tests/store/faults.h"
#include "tests/support/temp_directory.h"

namespace tain::store {
namespace {

constexpr size_t kSector = 512;

VaultId vault_of(uint8_t number) {
  VaultId id;
  id.bytes.fill(number);
  return id;
}

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    // Small to be quick: a reader takes any length, and a writer extends it.
    directory_.file("journal", std::string(16 * kJournalAlignment, '\0'));
    start_.chain.fill(0x5a);
    open();
  }

  /// Opens the file and replays what follows `from`; the payloads are in replayed_.
  Journal::ReplayReport open(std::optional<JournalPosition> from = {}, const Cipher* cipher = nullptr) {
    journal_ = Journal::open(path(), cipher != nullptr ? *cipher : cipher_).value();
    replayed_.clear();
    return journal_->replay(from.value_or(start_), [this](ByteView payload) -> Result<> {
      replayed_.emplace_back(as_text(payload));
      return {};
    }).value();
  }

  void append(const std::string& payload) {
    auto appended = journal_->append(as_bytes(payload));
    ASSERT_TRUE(appended.ok()) << appended.error().message();
  }

  std::string path() const { return directory_.path("journal"); }
  Bytes file() const { return read_file(path(), kJournalSize * 2).value(); }
  void set_file(const Bytes& bytes) { directory_.file("journal", as_text(bytes)); }

  test::TempDirectory directory_;
  const Cipher cipher_{MasterKey{Secret(32)}, vault_of(1), 1};
  JournalPosition start_;
  std::unique_ptr<Journal> journal_;
  std::vector<std::string> replayed_;
};

using Payloads = std::vector<std::string>;

TEST_F(JournalTest, FramesComeBackInOrder) {
  append("one");
  append("");
  append(std::string(kJournalPayloadMax, 'x'));
  const JournalPosition position = journal_->position();

  const auto report = open();

  EXPECT_EQ(replayed_, (Payloads{"one", "", std::string(kJournalPayloadMax, 'x')}));
  EXPECT_EQ(report.frames, 3u);
  EXPECT_FALSE(report.damaged);
  EXPECT_EQ(journal_->position(), position);
}

TEST_F(JournalTest, GoesOnAfterTheLastReplayedFrame) {
  append("one");
  open();
  append("two");
  open();
  EXPECT_EQ(replayed_, (Payloads{"one", "two"}));
}

TEST_F(JournalTest, FramesThatTheDatabaseHasAreSkipped) {
  append("in the database");
  const JournalPosition committed = journal_->position();
  append("not yet");

  open(committed);

  EXPECT_EQ(replayed_, Payloads{"not yet"});
}

TEST_F(JournalTest, RestartWritesFromTheBeginningAndOldFramesStayDead) {
  append("old 1");
  append("old 2");
  append("old 3");
  const JournalPosition committed = journal_->position();
  const Bytes before = file();
  journal_->restart();
  append("new");

  const Bytes after = file();
  EXPECT_FALSE(std::equal(after.begin(), after.begin() + kJournalAlignment, before.begin()));
  const auto report = open(committed);

  EXPECT_EQ(replayed_, Payloads{"new"});
  EXPECT_FALSE(report.damaged) << "old frames behind the new one are no damage";
}

TEST_F(JournalTest, OldFramesAreNotReplayedFromALaterPosition) {
  append("old");
  const Bytes old = file();
  journal_->restart();
  append("new");
  const JournalPosition committed = journal_->position();

  set_file(old);  // somebody puts the file of yesterday back
  const auto report = open(committed);

  EXPECT_TRUE(replayed_.empty());
  EXPECT_FALSE(report.damaged);
}

TEST_F(JournalTest, ChainOfAnotherStoreIsRefused) {
  append("ours");
  JournalPosition other = start_;
  other.chain[0] ^= 1;

  open(other);

  EXPECT_TRUE(replayed_.empty());
}

TEST_F(JournalTest, FramesOfAnotherVaultDoNotOpen) {
  append("ours");
  const Cipher stranger(MasterKey{Secret(32)}, vault_of(2), 1);

  const auto report = open({}, &stranger);

  EXPECT_TRUE(replayed_.empty());
  EXPECT_TRUE(report.damaged) << "a good checksum over a seal that does not open is no torn write";
}

TEST_F(JournalTest, FrameWithOtherBytesUnderTheSameTagEndsTheChain) {
  append("first");
  append("second");
  Bytes bytes = file();
  // All that the chain value is made of stays, and the checksum, which needs no key, is made to fit.
  const size_t checked = kFrameHeaderSize + std::string_view("first").size() + kSealOverhead;
  bytes[checked - 17] ^= 1;  // the last byte before the tag
  const auto checksum = xxh3_128(ByteView(bytes).first(checked));
  std::copy(checksum.begin(), checksum.end(), bytes.begin() + static_cast<ptrdiff_t>(checked));
  set_file(bytes);

  const auto report = open();

  EXPECT_TRUE(replayed_.empty()) << "neither it nor what is chained to it";
  EXPECT_TRUE(report.damaged);
}

TEST_F(JournalTest, ChainTellsFramesOfOnePayloadApart) {
  const JournalPosition before = journal_->position();
  append("same");
  const Bytes first = file();
  const JournalPosition after_first = journal_->position();
  EXPECT_FALSE(open(before).damaged);

  journal_ = Journal::open(path(), cipher_).value();  // the same place and number, written once more
  set_file(Bytes(16 * kJournalAlignment));
  open(before);
  append("same");

  EXPECT_NE(journal_->position().chain, after_first.chain);
  append("next");
  Bytes mixed = file();
  std::copy_n(first.begin(), kJournalAlignment, mixed.begin());
  set_file(mixed);
  open(before);
  EXPECT_EQ(replayed_, Payloads{"same"}) << "the next frame belongs to the other one";
}

TEST_F(JournalTest, FrameTornAtAnySectorIsNotApplied) {
  append("first");
  const Bytes before = file();
  const std::string second(6000, 's');
  append(second);
  const Bytes after = file();
  const size_t start = kJournalAlignment;
  const size_t frame_size = kFrameHeaderSize + second.size() + kSealOverhead + kChecksumSize;
  const size_t sectors = 2 * kJournalAlignment / kSector;

  for (size_t written = 0; written <= sectors; ++written) {
    SCOPED_TRACE("sectors " + std::to_string(written));
    Bytes torn = before;
    std::copy_n(after.begin() + start, written * kSector, torn.begin() + start);
    set_file(torn);

    const auto report = open();

    const bool complete = written * kSector >= frame_size;
    EXPECT_EQ(replayed_, complete ? (Payloads{"first", second}) : Payloads{"first"});
    EXPECT_FALSE(report.damaged);
    append("third");  // over the torn one
    open();
    EXPECT_EQ(replayed_.back(), "third");
    EXPECT_EQ(replayed_.size(), complete ? 3u : 2u);
  }
}

TEST_F(JournalTest, FrameWithAnySectorLostIsNotApplied) {
  append("first");
  const Bytes before = file();
  const std::string second(6000, 's');
  append(second);
  const Bytes after = file();
  const size_t frame_size = kFrameHeaderSize + second.size() + kSealOverhead + kChecksumSize;

  for (size_t lost = 0; lost * kSector < frame_size; ++lost) {
    SCOPED_TRACE("sector " + std::to_string(lost));
    Bytes torn = after;
    const size_t at = kJournalAlignment + lost * kSector;
    std::copy_n(before.begin() + static_cast<ptrdiff_t>(at), kSector, torn.begin() + static_cast<ptrdiff_t>(at));
    set_file(torn);

    EXPECT_FALSE(open().damaged);
    EXPECT_EQ(replayed_, Payloads{"first"});
  }
}

TEST_F(JournalTest, EveryFlippedBitStopsTheReplay) {
  append("first");
  append("second");
  const Bytes good = file();
  const size_t frame_size = kFrameHeaderSize + 6 + kSealOverhead + kChecksumSize;
  for (size_t i = 0; i < frame_size; ++i) {
    Bytes bad = good;
    bad[kJournalAlignment + i] ^= static_cast<uint8_t>(1u << (i % 8));
    set_file(bad);

    EXPECT_FALSE(open().damaged) << "byte " << i << ": like a torn write";
    EXPECT_EQ(replayed_, Payloads{"first"}) << "byte " << i;
  }
}

TEST_F(JournalTest, AlteredFrameWithARightChecksumIsDamage) {
  append("first");
  Bytes bad = file();
  const size_t sealed_end = kFrameHeaderSize + 5 + kSealOverhead;
  bad[sealed_end - 1] ^= 1;
  const auto checksum = xxh3_128(ByteView(bad).first(sealed_end));
  std::copy(checksum.begin(), checksum.end(), bad.begin() + static_cast<ptrdiff_t>(sealed_end));
  set_file(bad);

  const auto report = open();

  EXPECT_TRUE(report.damaged);
  EXPECT_TRUE(replayed_.empty());
}

TEST_F(JournalTest, DamageInTheMiddleIsToldFromATornEnd) {
  append("one");
  append("two");
  append("three");
  Bytes bad = file();
  bad[kJournalAlignment + 60] ^= 1;
  set_file(bad);

  const auto report = open();

  EXPECT_EQ(replayed_, Payloads{"one"});
  EXPECT_TRUE(report.damaged) << "a frame that was durable is lost";
}

TEST_F(JournalTest, FramesBehindADamagedOneAreNeverApplied) {
  append("one");
  append("two");
  append("three");
  Bytes bad = file();
  bad[kJournalAlignment + 60] ^= 1;
  set_file(bad);
  open();

  EXPECT_FALSE(journal_->usable()) << "the next frame would stand among the dead ones";
  const JournalPosition committed = journal_->position();
  journal_->restart();
  append("new two");

  EXPECT_FALSE(open(committed).damaged) << "the dead frames are no damage any more";
  EXPECT_EQ(replayed_, Payloads{"new two"});
}

TEST_F(JournalTest, FullJournalRefusesAndTakesMoreAfterRestart) {
  const std::string large(kJournalPayloadMax, 'x');
  size_t frames = 0;
  while (journal_->has_room(large.size())) {
    append(large);
    ++frames;
  }
  EXPECT_GE(frames, 7u);
  EXPECT_TRUE(journal_->append(as_bytes(large)).is(Code::no_space));
  EXPECT_LE(file().size(), kJournalSize) << "the file never outgrows its size";
  open();
  EXPECT_EQ(replayed_.size(), frames);
  const JournalPosition committed = journal_->position();

  journal_->restart();
  append("again");

  open(committed);
  EXPECT_EQ(replayed_, Payloads{"again"});
}

TEST_F(JournalTest, TooLargePayloadIsRefused) {
  EXPECT_TRUE(journal_->append(Bytes(kJournalPayloadMax + 1)).is(Code::no_space));
  append("one");
  open();
  EXPECT_EQ(replayed_, Payloads{"one"});
}

TEST_F(JournalTest, AbandonedJournalTakesNothingUntilRestart) {
  append("one");
  const JournalPosition before = journal_->position();

  journal_->abandon();

  EXPECT_FALSE(journal_->usable());
  EXPECT_TRUE(journal_->append(as_bytes("two")).is(Code::no_space));
  EXPECT_GT(journal_->position().sequence, before.sequence);
  const JournalPosition committed = journal_->position();
  journal_->restart();
  append("three");
  open(committed);
  EXPECT_EQ(replayed_, Payloads{"three"});
}

TEST_F(JournalTest, FailedFlushIsReportedAndItsFrameNeverFollowsTheNextCommit) {
  append("one");
  {
    test::FlushHook broken([](const std::string& file) { return test::is_journal(file) ? EIO : 0; });
    EXPECT_TRUE(journal_->append(as_bytes("lost?")).is(Code::io));
    EXPECT_FALSE(journal_->usable());
  }
  const JournalPosition committed = journal_->position();  // what a commit would note now

  open();
  EXPECT_EQ(replayed_, (Payloads{"one", "lost?"})) << "without that commit it may count: it is a prefix";
  open(committed);
  EXPECT_TRUE(replayed_.empty()) << "the database has these changes, and perhaps newer ones";
}

TEST_F(JournalTest, ErrorOfTheApplierEndsTheReplay) {
  append("one");
  append("two");
  auto journal = Journal::open(path(), cipher_).value();

  size_t calls = 0;
  auto report = journal->replay(start_, [&](ByteView) -> Result<> {
    ++calls;
    return Error(Code::corrupt, "no");
  });

  EXPECT_TRUE(report.is(Code::corrupt));
  EXPECT_EQ(calls, 1u);
}

TEST_F(JournalTest, CutFileIsReadAsFarAsItGoes) {
  append("one");
  append("two");
  ASSERT_EQ(::truncate(path().c_str(), kJournalAlignment + 100), 0);

  open();

  EXPECT_EQ(replayed_, Payloads{"one"});
}

TEST(JournalFileTest, NewFileIsZerosOfTheFullSize) {
  test::TempDirectory directory;
  ASSERT_TRUE(Journal::create(directory.path("journal")).ok());
  EXPECT_EQ(read_file(directory.path("journal"), kJournalSize).value(), Bytes(kJournalSize));
}

TEST(JournalFileTest, MissingFileIsMadeAnewByTheFirstFrame) {
  test::TempDirectory directory;
  const Cipher cipher(MasterKey{Secret(32)}, vault_of(1), 1);

  auto journal = Journal::open(directory.path("journal"), cipher);

  ASSERT_TRUE(journal.ok());
  EXPECT_EQ((*journal)->replay({}, [](ByteView) -> Result<> { return {}; }).value().frames, 0u);
  EXPECT_FALSE(std::filesystem::exists(directory.path("journal"))) << "who only reads writes nothing";
  ASSERT_TRUE((*journal)->append(as_bytes("one")).ok());
  EXPECT_EQ(std::filesystem::file_size(directory.path("journal")), kJournalSize);
}

}  // namespace
}  // namespace tain::store
