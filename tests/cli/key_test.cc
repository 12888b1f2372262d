// SPDX-License-Identifier: Apache-2.0
// tain key, tain header, and the ways that a key reaches a command.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "cli/credential.h"
#include "cli/exit.h"
#include "cli/qr_code.h"
#include "store/recovery_words.h"
#include "store/vault.h"
#include "tests/cli/fake_world.h"

namespace tain::cli {
namespace {

using nlohmann::json;

/// Types what the prompts ask for of recovery words that were shown on `out`.
class ObedientTerminal final : public Terminal {
 public:
  explicit ObedientTerminal(std::ostringstream& out) : out_(out) {}
  Result<Secret> ask_secret(std::string_view prompt, size_t) override {
    prompts.emplace_back(prompt);
    std::string answer = password;
    const size_t at = prompt.find("word ");
    if (at != std::string_view::npos && prompt.starts_with("Type")) {
      answer = mistakes > 0 ? "zoo" : word(std::stoi(std::string(prompt.substr(at + 5))));
      if (mistakes > 0) --mistakes;
    }
    return Secret::copy_of(as_bytes(answer));
  }
  /// Word `number` of the grid on the screen.
  std::string word(int number) const {
    std::istringstream shown(out_.str());
    for (std::string token; shown >> token;) {
      if (token != std::to_string(number)) continue;
      shown >> token;
      return token;
    }
    return {};
  }
  std::string all_words() const {
    std::string out;
    for (int i = 1; i <= 15; ++i) out += word(i) + " ";
    return out;
  }
  std::string password = "pass";
  int mistakes = 0;
  std::vector<std::string> prompts;

 private:
  std::ostringstream& out_;
};

class KeyTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(fake_.run({"init", "--kdf-time", "0", "--passfile", secret("pass"), "--json", vault_}), 0) << fake_.err.str();
    forget_output();
  }

  std::string secret(const std::string& text) const {
    const std::string path = fake_.directory.file("secret-" + text.substr(0, 20), text);
    ::chmod(path.c_str(), 0600);
    return path;
  }
  void forget_output() {
    fake_.out.str("");
    fake_.err.str("");
  }
  int run(const std::vector<std::string>& words) {
    forget_output();
    return fake_.run(words);
  }
  int ls(std::vector<std::string> options) {
    options.insert(options.begin(), "ls");
    options.push_back(vault_);
    return run(options);
  }
  json slots() {
    EXPECT_EQ(run({"key", "list", "--json", vault_}), 0) << fake_.err.str();
    return json::parse(fake_.out.str());
  }
  bool err_has(std::string_view text) const { return fake_.err.str().find(text) != std::string::npos; }
  /// Adds recovery words without a terminal, and yields them.
  std::string add_words() {
    EXPECT_EQ(run({"key", "add", "--passfile", secret("pass"), vault_, "recovery"}), 0) << fake_.err.str();
    return fake_.out.str();
  }

  FakeWorld fake_;
  const std::string vault_ = fake_.directory.path("vault");
};

TEST_F(KeyTest, ListShowsKindCostAndAge) {
  const std::string words = add_words();
  const json listed = slots();
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0]["type"], "password");
  EXPECT_EQ(listed[0]["kdf"]["passes"], 2);
  EXPECT_EQ(listed[0]["kdf"]["below_default"], true);
  EXPECT_EQ(listed[1]["type"], "recovery");
  EXPECT_FALSE(listed[1].contains("kdf"));

  ASSERT_EQ(run({"key", "list", vault_}), 0);
  EXPECT_NE(fake_.out.str().find("recovery words"), std::string::npos);
  EXPECT_NE(fake_.out.str().find("today"), std::string::npos);
  EXPECT_NE(fake_.out.str().find("64.0 MiB; below today's default\n"), std::string::npos) << fake_.out.str();
  EXPECT_NE(fake_.out.str().find(listed[1]["slot"].get<std::string>()), std::string::npos);
  EXPECT_TRUE(err_has("easier to guess than today's default")) << fake_.err.str();
}

TEST_F(KeyTest, WhereOnlyTheSecondCopyFailsTheChangeIsSaidToCount) {
  const auto break_copy = [&](bool is_broken) {  // nothing can be renamed onto a directory
    std::filesystem::remove(vault_ + "/header.bak");
    if (is_broken) std::filesystem::create_directory(vault_ + "/header.bak");
  };
  break_copy(true);

  EXPECT_EQ(run({"key", "add", "--passfile", secret("pass"), vault_, "recovery"}), kExitPartial);
  const std::string words = fake_.out.str();
  EXPECT_TRUE(err_has("the key slot was added")) << fake_.err.str();
  EXPECT_FALSE(err_has("not valid")) << fake_.err.str();
  break_copy(false);
  EXPECT_EQ(ls({"--recovery", "--passfile", secret(words)}), 0) << "it says what really is: " << fake_.err.str();

  break_copy(true);
  EXPECT_EQ(run({"passwd", "--kdf-time", "0", "--passfile", secret("pass"), "--new-passfile", secret("new"), vault_}), kExitPartial);
  EXPECT_TRUE(err_has("the new password opens the vault")) << fake_.err.str();
  EXPECT_TRUE(err_has("header.bak") || err_has("second copy")) << fake_.err.str();
  break_copy(false);
  EXPECT_EQ(ls({"--passfile", secret("new")}), 0);

  break_copy(true);
  const std::string slot = slots()[1]["slot"];
  EXPECT_EQ(run({"key", "remove", "--passfile", secret("new"), vault_, slot}), kExitPartial);
  EXPECT_TRUE(err_has("the key slot was removed")) << fake_.err.str();
  EXPECT_EQ(slots().size(), 1u);

  EXPECT_EQ(run({"key", "rotate", "--passfile", secret("new"), vault_}), kExitPartial);
  EXPECT_TRUE(err_has("has a new master key")) << fake_.err.str();
  break_copy(false);
  EXPECT_EQ(ls({"--passfile", secret("new")}), 0);
}

TEST_F(KeyTest, AnOlderHeaderThatIsPutBackIsNoticedAndAnotherOneOfTheSameNumberToo) {
  fake_.environment["XDG_STATE_HOME"] = fake_.directory.path("state");
  const std::string before = fake_.directory.path("before");
  ASSERT_EQ(run({"header", "backup", vault_, before}), 0);
  const auto put_back = [&] {
    for (const char* name : {"/header", "/header.bak"})
      std::filesystem::copy_file(before, vault_ + name, std::filesystem::copy_options::overwrite_existing);
  };
  const auto change = [&](const std::string& to) {
    return run({"passwd", "--kdf-time", "0", "--passfile", secret("pass"), "--new-passfile", secret(to), vault_});
  };
  ASSERT_EQ(change("one"), 0);
  EXPECT_EQ(ls({"--passfile", secret("one")}), 0);
  EXPECT_FALSE(err_has("this machine has seen")) << fake_.err.str();

  put_back();
  EXPECT_EQ(ls({"--passfile", secret("pass")}), 0);
  EXPECT_TRUE(err_has("is number 1, and this machine has seen number 2")) << fake_.err.str();

  fake_.environment["TAIN_HEADER_COPIES"] = "no";
  ASSERT_EQ(change("two"), 0) << "as on another machine";
  EXPECT_FALSE(err_has("this machine has seen"));
  fake_.environment.erase("TAIN_HEADER_COPIES");
  EXPECT_EQ(ls({"--passfile", secret("two")}), 0);
  EXPECT_TRUE(err_has("another one of number 2")) << fake_.err.str();

  put_back();
  ASSERT_EQ(change("three"), 0);
  EXPECT_TRUE(err_has("this machine has seen")) << "before the change";
  EXPECT_EQ(ls({"--passfile", secret("three")}), 0);
  EXPECT_FALSE(err_has("this machine has seen")) << "who has the key has spoken";
}

TEST_F(KeyTest, RecoveryWordsOpenWithAndWithoutTheOption) {
  const std::string words = add_words();
  EXPECT_EQ(ls({"--recovery", "--passfile", secret(words)}), 0) << fake_.err.str();
  EXPECT_EQ(ls({"--passfile", secret(words)}), 0) << fake_.err.str();
  EXPECT_EQ(ls({"--passfile", secret("pass")}), 0) << fake_.err.str();
}

TEST_F(KeyTest, WithTheOptionAWrongWordIsNamed) {
  add_words();
  EXPECT_EQ(ls({"--recovery", "--passfile", secret("zoo zoo qwertz zoo")}), 1);
  EXPECT_TRUE(err_has("recovery word 3 is not one of the list"));
  EXPECT_FALSE(err_has("qwertz")) << "what was typed is a secret";
  EXPECT_EQ(ls({"--recovery", "--keyfile", "x", "--passfile", secret("zoo")}), 2);
}

TEST_F(KeyTest, RecoveryWordsDoNotComeFromTheEnvironmentsPassword) {
  const std::string words = add_words();
  fake_.environment["TAIN_PASSFILE"] = secret("pass");
  fake_.set_stdin(words);
  EXPECT_EQ(ls({"--recovery"}), 0) << fake_.err.str();
}

TEST_F(KeyTest, ATerminalShowsTheWordsOnceAndAsksForSome) {
  ObedientTerminal terminal(fake_.out);
  World world{.terminal = terminal, .out = fake_.out, .err = fake_.err};
  world.stdin_is_tty = world.out_is_tty = true;
  world.env = [](const char*) { return std::string(); };
  terminal.mistakes = 2;

  ASSERT_EQ(cli::run(world, {"key", "add", vault_, "recovery"}), 0) << fake_.err.str();

  EXPECT_EQ(terminal.prompts.size(), 1u + 3u + 2u) << "the password, three words, two of them twice";
  const std::string words = terminal.all_words();
  EXPECT_EQ(ls({"--recovery", "--passfile", secret(words)}), 0) << fake_.err.str();
}

TEST_F(KeyTest, WhoHasNotWrittenTheWordsDownHasNone) {
  ObedientTerminal terminal(fake_.out);
  World world{.terminal = terminal, .out = fake_.out, .err = fake_.err};
  world.stdin_is_tty = world.out_is_tty = true;
  world.env = [](const char*) { return std::string(); };
  terminal.mistakes = 100;
  EXPECT_EQ(cli::run(world, {"key", "add", vault_, "recovery"}), 1);
  EXPECT_EQ(slots().size(), 1u);
}

TEST_F(KeyTest, AtATerminalWordsAreTypedInPieces) {
  const std::string words = add_words();
  fake_.world.stdin_is_tty = true;
  const size_t middle = words.find(' ', 40);
  fake_.terminal.answers = {words.substr(0, middle) + " qwertz", words.substr(middle, words.size() - middle - 1)};
  fake_.terminal.prompts.clear();
  EXPECT_EQ(ls({"--recovery"}), 0) << fake_.err.str();
  EXPECT_EQ(fake_.terminal.prompts.size(), 2u);
  EXPECT_TRUE(err_has("is not one of the list"));
  EXPECT_FALSE(err_has("qwertz"));
}

TEST_F(KeyTest, ASheetIsForItsOwnerAndShownNowhereElse) {
  const std::string sheet = fake_.directory.path("sheet");
  ASSERT_EQ(run({"key", "add", "--json", "--sheet", sheet, "--passfile", secret("pass"), vault_, "recovery"}), 0) << fake_.err.str();

  struct stat st {};
  ASSERT_EQ(::stat(sheet.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777u, 0600u);
  std::ostringstream text;
  text << std::ifstream(sheet).rdbuf();
  text.str(text.str().substr(text.str().find("    1 ")));  // there are other numbers before the grid
  ObedientTerminal reader(text);
  const std::string words = reader.all_words();
  EXPECT_EQ(fake_.out.str().find(reader.word(1) + " "), std::string::npos);
  EXPECT_EQ(ls({"--recovery", "--passfile", secret(words)}), 0) << fake_.err.str();
  EXPECT_EQ(run({"key", "add", "--sheet", sheet, "--passfile", secret("pass"), vault_, "recovery"}), 1) << "it exists";
  EXPECT_EQ(run({"key", "add", "--json", "--passfile", secret("pass"), vault_, "recovery"}), 2) << "words are not for JSON";
  EXPECT_EQ(slots().size(), 2u);
}

TEST_F(KeyTest, AKeyfileIsMadeAndThenNeeded) {
  const std::string keyfile = fake_.directory.path("keyfile");
  ASSERT_EQ(run({"key", "add", "--kdf-time", "0", "--passfile", secret("pass"), "--new-passfile", secret("next"), "--new-keyfile",
                 keyfile, vault_, "keyfile"}),
            0)
      << fake_.err.str();
  EXPECT_EQ(std::filesystem::file_size(keyfile), 64u);

  EXPECT_EQ(ls({"--passfile", secret("next")}), 12);
  EXPECT_TRUE(err_has("--keyfile"));
  EXPECT_EQ(ls({"--passfile", secret("next"), "--keyfile", keyfile}), 0) << fake_.err.str();
  EXPECT_EQ(ls({"--passfile", secret("pass"), "--keyfile", keyfile}), 12) << "an explicit keyfile is used";
  EXPECT_EQ(ls({"--passfile", secret("next"), "--keyfile", secret("short")}), 1);
}

TEST_F(KeyTest, AKeyfileMayComeFromTheEnvironmentOrSystemd) {
  const std::string keyfile = fake_.directory.file("keyfile", std::string(32, 'k'));
  const std::string locked = fake_.directory.path("locked");
  ASSERT_EQ(run({"init", "--kdf-time", "0", "--passfile", secret("pass"), "--keyfile", keyfile, "--json", locked}), 0) << fake_.err.str();
  EXPECT_EQ(run({"ls", "--passfile", secret("pass"), locked}), 12);

  fake_.environment["TAIN_KEYFILE"] = keyfile;
  EXPECT_EQ(run({"ls", "--passfile", secret("pass"), locked}), 0) << fake_.err.str();
  EXPECT_EQ(ls({"--passfile", secret("pass")}), 0) << "a vault without such a slot does not need it: " << fake_.err.str();

  fake_.directory.directory("credentials");
  fake_.directory.file("credentials/tain.keyfile", std::string(32, 'k'));
  fake_.environment = {{"CREDENTIALS_DIRECTORY", fake_.directory.path("credentials")}};
  EXPECT_EQ(run({"ls", "--passfile", secret("pass"), locked}), 0) << fake_.err.str();
}

TEST_F(KeyTest, RemoveProvesAKeyThatStays) {
  const std::string words = add_words();
  const json listed = slots();
  const std::string password = listed[0]["slot"], recovery = listed[1]["slot"];

  EXPECT_EQ(run({"key", "remove", "--passfile", secret("pass"), vault_, password}), 12);
  EXPECT_EQ(run({"key", "remove", "--passfile", secret("pass"), vault_, "nope"}), 2);
  EXPECT_EQ(run({"key", "remove", "--passfile", secret("pass"), vault_, ""}), 2);
  EXPECT_EQ(slots().size(), 2u);
  EXPECT_EQ(run({"key", "remove", "--passfile", secret(words), vault_, password.substr(0, 8)}), 0) << fake_.err.str();
  EXPECT_TRUE(err_has("does not revoke"));
  EXPECT_EQ(run({"key", "remove", "--passfile", secret(words), vault_, recovery}), 1) << "the last one";
  EXPECT_EQ(ls({"--passfile", secret("pass")}), 12);
  EXPECT_EQ(ls({"--passfile", secret(words)}), 0);
}

TEST_F(KeyTest, AForgottenPasswordIsReplacedWithRecoveryWords) {
  const std::string words = add_words();
  ASSERT_EQ(run({"passwd", "--kdf-time", "0", "--recovery", "--passfile", secret(words), "--new-passfile", secret("next"), vault_}), 0)
      << fake_.err.str();
  EXPECT_TRUE(err_has("does not revoke"));
  EXPECT_TRUE(err_has("key rotate"));
  EXPECT_EQ(ls({"--passfile", secret("next")}), 0);
  EXPECT_EQ(ls({"--passfile", secret("pass")}), 12);
  EXPECT_EQ(ls({"--passfile", secret(words)}), 0);
}

TEST_F(KeyTest, ANewMasterKeyLeavesOnlyTheKeyThatWasGiven) {
  const std::string words = add_words();
  EXPECT_EQ(run({"key", "rotate", "--passfile", secret("wrong"), vault_}), 12);
  EXPECT_EQ(run({"key", "rotate", "--passfile", secret("pass"), vault_}), 1);
  EXPECT_TRUE(err_has("would be void: recovery words"));
  EXPECT_TRUE(err_has("--void-others"));
  EXPECT_EQ(slots().size(), 2u);
  EXPECT_EQ(ls({"--passfile", secret(words)}), 0) << "nothing was changed";

  ASSERT_EQ(run({"key", "rotate", "--void-others", "--json", "--passfile", secret("pass"), vault_}), 0) << fake_.err.str();

  const json done = json::parse(fake_.out.str());
  EXPECT_EQ(done["key_epoch"], 2);
  EXPECT_EQ(done["done"], true);
  EXPECT_EQ(done["left"], 0);
  EXPECT_GT(done["resealed"], 0);
  EXPECT_TRUE(err_has("void from now on: recovery words"));
  EXPECT_EQ(slots().size(), 1u);
  EXPECT_EQ(ls({"--passfile", secret("pass")}), 0);
  EXPECT_EQ(ls({"--passfile", secret(words)}), 12);
  ASSERT_EQ(run({"status", "--json", vault_}), 0);
  const json status = json::parse(fake_.out.str());
  EXPECT_EQ(status["key_epoch"], 2);
  EXPECT_FALSE(status.contains("rotation"));
  EXPECT_EQ(run({"check", "--passfile", secret("pass"), vault_}), 0) << fake_.out.str();
  EXPECT_EQ(run({"key", "rotate", "--passfile", secret("pass"), vault_}), 0) << "with nothing to void it is not asked";
  EXPECT_NE(fake_.out.str().find("epoch 3"), std::string::npos);
}

TEST_F(KeyTest, AChangeOfTheMasterKeyThatWasBegunGoesOn) {
  ASSERT_TRUE(store::Vault::start_rotation(vault_, Secret::copy_of(as_bytes("pass"))).ok());
  ASSERT_EQ(run({"status", "--json", vault_}), 0);
  EXPECT_EQ(json::parse(fake_.out.str())["rotation"]["epoch"], 2);
  ASSERT_EQ(run({"status", vault_}), 0);
  EXPECT_NE(fake_.out.str().find("to epoch 2, not done"), std::string::npos) << fake_.out.str();
  EXPECT_EQ(run({"check", "--passfile", secret("pass"), vault_}), 0) << fake_.out.str();

  ASSERT_EQ(run({"key", "rotate", "--passfile", secret("pass"), vault_}), 0) << fake_.err.str();

  EXPECT_TRUE(err_has("goes on"));
  EXPECT_EQ(store::Vault::inspect(vault_)->older_epoch, 0u);
  EXPECT_EQ(store::Vault::inspect(vault_)->epoch, 2u);
}

TEST_F(KeyTest, InitWithRecoveryPrintsWordsThatOpen) {
  const std::string vault = fake_.directory.path("second");
  ASSERT_EQ(run({"init", "--kdf-time", "0", "--recovery", "--passfile", secret("pass"), vault}), 0) << fake_.err.str();
  const std::string words = fake_.out.str().substr(0, fake_.out.str().find('\n'));
  EXPECT_EQ(run({"ls", "--recovery", "--passfile", secret(words), vault}), 0) << fake_.err.str();
  EXPECT_EQ(run({"init", "--recovery", "--json", "--passfile", secret("pass"), fake_.directory.path("third")}), 2);
  EXPECT_FALSE(std::filesystem::exists(fake_.directory.path("third")));
}

TEST_F(KeyTest, MistakesAreUsageErrors) {
  EXPECT_EQ(run({"key"}), 2);
  EXPECT_EQ(run({"key", "lst", vault_}), 2);
  EXPECT_TRUE(err_has("did you mean tain key list?"));
  EXPECT_EQ(run({"key", "add", vault_, "fingerprint"}), 2);
  EXPECT_EQ(run({"key", "add", vault_, "keyfile"}), 2);
  EXPECT_EQ(run({"key", "add", "--new-keyfile", "x", vault_, "password"}), 2);
  EXPECT_EQ(run({"key", "add", "--sheet", "x", vault_, "password"}), 2);
  EXPECT_EQ(run({"init", "--sheet", "x", fake_.directory.path("new")}), 2);
  EXPECT_EQ(run({"key", "--help"}), 0);
  EXPECT_NE(fake_.out.str().find("key remove"), std::string::npos);
  EXPECT_EQ(run({"help", "key", "add"}), 0);
  EXPECT_NE(fake_.out.str().find("usage: tain key add"), std::string::npos);
}

TEST_F(KeyTest, AHeaderIsBackedUpAndRestored) {
  const std::string backup = fake_.directory.path("backup");
  ASSERT_EQ(run({"header", "backup", vault_, backup}), 0) << fake_.err.str();
  EXPECT_EQ(run({"header", "backup", vault_, backup}), 1);
  EXPECT_EQ(run({"header", "restore", "--passfile", secret("pass"), vault_, backup}), 1) << "there is an intact one";

  std::filesystem::remove(vault_ + "/header");
  std::filesystem::remove(vault_ + "/header.bak");
  EXPECT_EQ(ls({"--passfile", secret("pass")}), 6);
  EXPECT_EQ(run({"header", "restore", "--passfile", secret("wrong"), vault_, backup}), 12);
  EXPECT_EQ(run({"header", "restore", "--passfile", secret("pass"), vault_, backup}), 0) << fake_.err.str();
  EXPECT_EQ(ls({"--passfile", secret("pass")}), 0);
}

TEST(QrCodeTest, ACodeHasTwoRowsALineOrThereIsNone) {
  const auto lines_of = [](Background background) {
    std::string text;
    const auto add = [&](std::string_view piece) { text += piece; };
    std::vector<std::string> lines;
    const bool made = add_qr_code(as_bytes("some words"), background, add);
    EXPECT_EQ(made, !text.empty()) << "none without libqrencode";
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  };
  const auto dark = lines_of(Background::dark);
  if (dark.empty()) return;

  ASSERT_GT(dark.size(), 10u);
  EXPECT_EQ(dark[0], "");
  // The margin is light: full on a dark terminal, empty on paper.
  EXPECT_TRUE(dark[1].starts_with("█"));
  EXPECT_TRUE(lines_of(Background::light)[1].starts_with(" "));
  EXPECT_TRUE(add_qr_code(as_bytes("some words"), Background::dark, [](std::string_view) {}));
  EXPECT_FALSE(add_qr_code(Bytes(4000, 'x'), Background::dark, [](std::string_view) {})) << "too long";
}

}  // namespace
}  // namespace tain::cli
