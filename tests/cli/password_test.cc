// SPDX-License-Identifier: Apache-2.0
#include "cli/password.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "store/kdf.h"
#include "tests/cli/fake_world.h"

namespace tain::cli {
namespace {

class PasswordTest : public testing::Test {
 protected:
  std::string secret_file(const std::string& name, std::string_view content) {
    const std::string path = fake_.directory.file(name, content);
    ::chmod(path.c_str(), 0600);
    return path;
  }
  Arguments arguments(const std::vector<std::string>& words) {
    std::vector<Option> options = password_options();
    options.insert(options.end(), new_password_options().begin(), new_password_options().end());
    return Arguments::parse(options, words).value();
  }
  Result<Secret> read(const std::vector<std::string>& words) { return read_password(fake_.world, arguments(words), "Password: "); }
  /// What read() yields, as text; the code of its error otherwise.
  std::string text(const std::vector<std::string>& words) {
    auto secret = read(words);
    return secret.ok() ? std::string(as_text(secret->view())) : "error " + std::to_string(static_cast<int>(secret.code()));
  }

  FakeWorld fake_;
};

TEST_F(PasswordTest, OneNewlineAtTheEndIsNotPartOfIt) {
  EXPECT_EQ(text({"--passfile", secret_file("a", "pa ss\n")}), "pa ss");
  EXPECT_EQ(text({"--passfile", secret_file("b", "pass\r\n")}), "pass");
  EXPECT_EQ(text({"--passfile", secret_file("c", "pass")}), "pass");
  EXPECT_EQ(text({"--passfile", secret_file("d", "pass\n\n")}), "pass\n");
  EXPECT_EQ(text({"--passfile", secret_file("e", "pass\r")}), "pass\r");
}

TEST_F(PasswordTest, ANewOneThatIsEasyToGuessIsSaidToBeAtATerminal) {
  fake_.world.stdin_is_tty = true;
  const auto is_warned = [&](const std::string& password) {
    fake_.err.str("");
    fake_.terminal.answers = {password, password};
    EXPECT_EQ(as_text(read_new_password(fake_.world, arguments({}))->view()), password) << "and taken all the same";
    EXPECT_EQ(fake_.err.str().find(password), std::string::npos);
    return fake_.err.str().find("easy to guess") != std::string::npos;
  };
  for (const char* easy : {"sommer", "aaaaaaaaaaaaaaaa", "abababababababab", "1990-12-3", "123456789012"}) EXPECT_TRUE(is_warned(easy)) << easy;
  for (const char* other : {"correct horse battery staple", "Tr0ub4dor&3", "93180274655519283746"}) EXPECT_FALSE(is_warned(other)) << other;
}

TEST_F(PasswordTest, EmptyIsItsOwnError) {
  EXPECT_TRUE(read({"--passfile", secret_file("a", "")}).is(Code::empty_password));
  EXPECT_TRUE(read({"--passfile", secret_file("b", "\r\n")}).is(Code::empty_password));
  EXPECT_TRUE(read({"--passcmd", "true"}).is(Code::empty_password));
  EXPECT_TRUE(read({}).is(Code::empty_password)) << "nothing on standard input";
}

TEST_F(PasswordTest, RefusesNulAndTooLong) {
  const std::string longest(store::kPasswordMax, 'x');

  EXPECT_TRUE(read({"--passfile", secret_file("nul", std::string_view("a\0b", 3))}).is(Code::invalid_argument));
  EXPECT_EQ(text({"--passfile", secret_file("longest", longest + "\r\n")}), longest);
  EXPECT_TRUE(read({"--passfile", secret_file("longer", longest + "x")}).is(Code::too_large));
  EXPECT_TRUE(read({"--passfile", secret_file("much", std::string(100'000, 'x'))}).is(Code::too_large));
}

TEST_F(PasswordTest, WarnsAboutAFileOpenToOthers) {
  const std::string path = secret_file("a", "pass");
  EXPECT_EQ(text({"--passfile", path}), "pass");
  EXPECT_EQ(fake_.err.str(), "");

  ::chmod(path.c_str(), 0640);
  EXPECT_EQ(text({"--passfile", path}), "pass");
  EXPECT_NE(fake_.err.str().find("tain: hint: chmod 600"), std::string::npos);
}

TEST_F(PasswordTest, ACommandRunsWithoutAShell) {
  EXPECT_EQ(text({"--passcmd", "printf '%s\\n' \"a  b\" $HOME;x"}), "a  b\n$HOME;x");
}

TEST_F(PasswordTest, ACommandThatFailsYieldsNothing) {
  EXPECT_TRUE(read({"--passcmd", "sh -c 'echo pass; exit 3'"}).is(Code::io));
  EXPECT_FALSE(read({"--passcmd", "tain-no-such-program"}).ok());
  EXPECT_TRUE(read({"--passcmd", "  "}).is(Code::usage));
  EXPECT_TRUE(read({"--passcmd", "echo 'open"}).is(Code::usage));
}

TEST_F(PasswordTest, ADescriptorIsANumber) {
  UniqueFd fd(::open(secret_file("a", "pass\n").c_str(), O_RDONLY | O_CLOEXEC));

  EXPECT_EQ(text({"--pass-fd", std::to_string(fd.get())}), "pass");
  EXPECT_TRUE(read({"--pass-fd", "3x"}).is(Code::usage));
  EXPECT_TRUE(read({"--pass-fd", "-1"}).is(Code::usage));
  EXPECT_FALSE(read({"--pass-fd", "999"}).ok());
}

TEST_F(PasswordTest, TwoSourcesAtOnceAreAnError) {
  const std::string path = secret_file("a", "pass");

  EXPECT_TRUE(read({"--passfile", path, "--passcmd", "echo x"}).is(Code::usage));
  EXPECT_TRUE(read({"--passfile", path, "--pass-fd", "0"}).is(Code::usage));
  fake_.environment = {{"TAIN_PASSFILE", path}, {"TAIN_PASSCMD", "echo x"}};
  EXPECT_TRUE(read({}).is(Code::usage));
}

TEST_F(PasswordTest, OptionsBeatTheEnvironmentBeatsCredentialsBeatsTheTerminal) {
  fake_.world.stdin_is_tty = true;
  fake_.terminal.answers = {"terminal"};
  EXPECT_EQ(text({}), "terminal");

  fake_.directory.directory("credentials");
  secret_file("credentials/tain.password", "credential");
  fake_.environment["CREDENTIALS_DIRECTORY"] = fake_.directory.path("credentials");
  EXPECT_EQ(text({}), "credential");

  fake_.environment["TAIN_PASSCMD"] = "echo command";
  EXPECT_EQ(text({}), "command");

  EXPECT_EQ(text({"--passfile", secret_file("a", "option")}), "option");
  EXPECT_EQ(fake_.terminal.prompts.size(), 1u);
}

TEST_F(PasswordTest, StandardInputIsReadLineByLine) {
  fake_.set_stdin("old\nnew\nrest\n");

  EXPECT_EQ(text({}), "old");
  EXPECT_EQ(as_text(read_new_password(fake_.world, arguments({}))->view()), "new");
}

TEST_F(PasswordTest, ANewPasswordIsTypedTwice) {
  fake_.world.stdin_is_tty = true;
  fake_.terminal.answers = {"one", "one"};
  EXPECT_EQ(as_text(read_first_password(fake_.world, arguments({}))->view()), "one");

  fake_.terminal.answers = {"one", "two"};
  EXPECT_TRUE(read_new_password(fake_.world, arguments({})).is(Code::invalid_argument));

  fake_.terminal.answers = {""};
  EXPECT_TRUE(read_first_password(fake_.world, arguments({})).is(Code::empty_password)) << "before it asks again";

  fake_.terminal.answers = {};
  EXPECT_TRUE(read_first_password(fake_.world, arguments({})).is(Code::interrupted));
}

TEST_F(PasswordTest, APinThatIsSetAlreadyIsTypedOnce) {
  EXPECT_EQ(as_text(read_pin(fake_.world, arguments({"--new-passfile", secret_file("a", "1234\n")}), PinOf::new_slot, "PIN: ")->view()), "1234");
  EXPECT_TRUE(read_pin(fake_.world, arguments({}), PinOf::new_slot, "PIN: ").is(Code::empty_password)) << "nothing on standard input";

  fake_.world.stdin_is_tty = true;
  fake_.terminal.answers = {"5678"};
  EXPECT_EQ(as_text(read_pin(fake_.world, arguments({}), PinOf::new_slot, "PIN: ")->view()), "5678");
  EXPECT_EQ(fake_.terminal.prompts, std::vector<std::string>{"PIN: "});
}

TEST_F(PasswordTest, APinIsNotWhatTheEnvironmentHasForAPassword) {
  fake_.environment["TAIN_PASSFILE"] = secret_file("password", "of the vault\n");
  fake_.world.stdin_is_tty = true;
  fake_.terminal.answers = {"5678"};
  EXPECT_EQ(as_text(read_pin(fake_.world, arguments({}), PinOf::slot, "PIN: ")->view()), "5678");
  EXPECT_EQ(as_text(read_pin(fake_.world, arguments({"--passfile", secret_file("a", "1234\n")}), PinOf::slot, "PIN: ")->view()), "1234");
}

TEST(SplitWordsTest, SplitsAsAShellWould) {
  using List = std::vector<std::string>;
  EXPECT_EQ(split_words("").value(), List{});
  EXPECT_EQ(split_words("  a\tb ").value(), (List{"a", "b"}));
  EXPECT_EQ(split_words("a'b c'd \"e f\"").value(), (List{"ab cd", "e f"}));
  EXPECT_EQ(split_words("'' \"\"").value(), (List{"", ""}));
  EXPECT_EQ(split_words("a\\ b 'c\\d' \"e\\\"f\"").value(), (List{"a b", "c\\d", "e\"f"}));
  EXPECT_TRUE(split_words("a\\").is(Code::usage));
  EXPECT_TRUE(split_words("\"a").is(Code::usage));
}

}  // namespace
}  // namespace tain::cli
