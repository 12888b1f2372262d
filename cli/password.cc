// SPDX-License-Identifier: Apache-2.0
#include "cli/password.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "fs/subprocess.h"
#include "store/kdf.h"
#include "store/recovery_words.h"

namespace tain::cli {
namespace {

using store::kPasswordMax;

enum class Until { end, newline };

/// Reads into guarded memory and nowhere else; drops one "\n" or "\r\n" at the end.
Result<Secret> read_secret(int fd, Until until, const std::string& source) {
  Secret buffer(kPasswordMax + 3);  // "\r\n", and one byte to notice that it is too long
  size_t size = 0;
  while (size < buffer.size()) {
    // A line is read byte by byte: what follows it belongs to the next reader.
    const size_t wanted = until == Until::newline ? 1 : buffer.size() - size;
    const ssize_t n = ::read(fd, buffer.span().data() + size, wanted);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read the password from " + source);
    if (n == 0) break;
    size += static_cast<size_t>(n);
    if (until == Until::newline && buffer.view()[size - 1] == '\n') break;
  }
  if (size > 0 && buffer.view()[size - 1] == '\n') {
    --size;
    if (size > 0 && buffer.view()[size - 1] == '\r') --size;
  }
  if (size > kPasswordMax) {
    return Error(Code::too_large, "the password from " + source + " is longer than " + std::to_string(kPasswordMax) + " bytes");
  }
  buffer.shrink(size);
  return buffer;
}

Result<Secret> checked(Secret password, const std::string& source) {
  const ByteView bytes = password.view();
  if (std::find(bytes.begin(), bytes.end(), uint8_t{0}) != bytes.end()) {
    return Error(Code::invalid_argument, "the password from " + source + " contains a NUL byte");
  }
  if (auto check = store::check_password(bytes); !check.ok()) return std::move(check).error();
  return password;
}

Result<Secret> from_file(World& world, const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open password file " + path);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return errno_error(errno, path);
  if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0) {
    warn(world, "password file " + path + " is open to other users", "chmod 600 " + path);
  }
  return read_secret(fd.get(), Until::end, path);
}

Result<Secret> from_command(const std::string& line) {
  const std::vector<std::string> words = TRY(split_words(line));
  if (words.empty()) return Error(Code::usage, "the password command is empty");
  fs::Subprocess program = TRY(fs::spawn(words, fs::Capture::standard_output));
  auto password = read_secret(program.output.get(), Until::end, words.front());
  program.output.reset();
  const int status = TRY(fs::wait_for(program.pid));
  if (password.ok() && status != 0) {
    return Error(Code::io, "password command " + words.front() + " failed with status " + std::to_string(status))
        .hint("run it by hand to see why; it must print the password and exit with 0");
  }
  return password;
}

Result<Secret> from_descriptor(const std::string& text) {
  int fd = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fd);
  if (error != std::errc() || end != text.data() + text.size() || fd < 0) {
    return Error(Code::usage, "not a file descriptor: " + text).hint("a number, as in --pass-fd 3 3<FILE");
  }
  return read_secret(fd, Until::end, "file descriptor " + text);
}

/// Names of the three options that name a source: for the current and for the new password.
struct SourceNames {
  std::string file, command, descriptor;
};
const SourceNames kCurrent = {"passfile", "passcmd", "pass-fd"};
const SourceNames kNew = {"new-passfile", "new-passcmd", "new-pass-fd"};

/// The password of the one source among the options, checked; nothing if none is given.
Result<std::optional<Secret>> from_options(World& world, const Arguments& arguments, const SourceNames& names) {
  const auto file = arguments.value(names.file);
  const auto command = arguments.value(names.command);
  const auto descriptor = arguments.value(names.descriptor);
  if (int{file.has_value()} + int{command.has_value()} + int{descriptor.has_value()} > 1) {
    return Error(Code::usage, "give only one of --" + names.file + ", --" + names.command + " and --" + names.descriptor);
  }
  Secret secret;
  if (file) secret = TRY(from_file(world, *file));
  else if (command) secret = TRY(from_command(*command));
  else if (descriptor) secret = TRY(from_descriptor(*descriptor));
  else return std::optional<Secret>();
  return std::optional<Secret>(TRY(checked(std::move(secret), "the given source")));
}

/// The environment names sources but never holds a password.
Result<std::optional<Secret>> from_environment(World& world) {
  const std::string file = world.env("TAIN_PASSFILE");
  const std::string command = world.env("TAIN_PASSCMD");
  const std::string credentials = world.env("CREDENTIALS_DIRECTORY");
  if (!file.empty() && !command.empty()) return Error(Code::usage, "TAIN_PASSFILE and TAIN_PASSCMD are both set").hint("unset one of them");
  if (!file.empty()) {
    Secret secret = TRY(from_file(world, file));
    return std::optional<Secret>(TRY(checked(std::move(secret), "TAIN_PASSFILE")));
  }
  if (!command.empty()) {
    Secret secret = TRY(from_command(command));
    return std::optional<Secret>(TRY(checked(std::move(secret), "TAIN_PASSCMD")));
  }
  const std::string credential = credentials + "/tain.password";
  if (!credentials.empty() && ::access(credential.c_str(), F_OK) == 0) {
    Secret secret = TRY(from_file(world, credential));
    return std::optional<Secret>(TRY(checked(std::move(secret), credential)));
  }
  return std::optional<Secret>();
}

/// Found by trying what people use, long before Argon2id matters. No measure of strength: what passes may be weak all the same.
bool is_easy_to_guess(ByteView password) {
  constexpr size_t kShort = 10;        // bytes
  constexpr size_t kFewDifferent = 5;  // bytes
  std::array<uint8_t, 256> is_used{};
  for (uint8_t byte : password) is_used[byte] = 1;
  const auto different = static_cast<size_t>(std::count(is_used.begin(), is_used.end(), uint8_t{1}));
  wipe(is_used);
  const bool only_digits = std::all_of(password.begin(), password.end(), [](uint8_t byte) { return byte >= '0' && byte <= '9'; });
  return password.size() < kShort || different < kFewDifferent || (only_digits && password.size() < 2 * kShort);
}

Result<Secret> ask_twice(World& world, const std::string& prompt) {
  Secret typed = TRY(world.terminal.ask_secret(prompt, kPasswordMax));
  Secret first = TRY(checked(std::move(typed), "the terminal"));
  const Secret second = TRY(world.terminal.ask_secret("Repeat it: ", kPasswordMax));
  if (!first.equals(second)) return Error(Code::invalid_argument, "the passwords differ").hint("type the same password twice");
  if (is_easy_to_guess(first.view()))
    warn(world, "this password is easy to guess for who has a copy of the vault", "five words by chance are better; tain passwd changes it");
  return first;
}

/// 15 words of the list, with blanks between.
Result<Secret> ask_for_words(World& world) {
  Secret words(store::kRecoveryWordCount * (kPasswordMax + 1));
  size_t size = 0, count = 0;
  while (count < store::kRecoveryWordCount) {
    const std::string prompt = "Recovery words, from word " + std::to_string(count + 1) + " of 15 on: ";
    const Secret line = TRY(world.terminal.ask_secret(prompt, kPasswordMax));
    std::string_view rest = as_text(line.view());
    while (count < store::kRecoveryWordCount) {
      rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
      if (rest.empty()) break;
      const std::string_view word = rest.substr(0, rest.find_first_of(" \t"));
      rest.remove_prefix(word.size());
      if (!store::find_recovery_word(word)) {
        warn(world, "word " + std::to_string(count + 1) + " is not one of the list", "type on from there");
        break;
      }
      std::copy(word.begin(), word.end(), words.span().begin() + static_cast<ptrdiff_t>(size));
      size += word.size();
      words.span()[size++] = ' ';
      ++count;
    }
  }
  words.shrink(size);
  return words;
}

Result<Secret> from_standard_input(World& world) {
  Secret line = TRY(read_secret(world.stdin_fd, Until::newline, "standard input"));
  return checked(std::move(line), "standard input");
}

}  // namespace

const std::vector<Option>& password_options() {
  static const std::vector<Option> options = {
      {"passfile", 0, "FILE", "read the password from FILE"},
      {"passcmd", 0, "COMMAND", "read the password from what COMMAND prints (run without a shell)"},
      {"pass-fd", 0, "N", "read the password from file descriptor N"},
  };
  return options;
}

const std::vector<Option>& new_password_options() {
  static const std::vector<Option> options = {
      {"new-passfile", 0, "FILE", "read the new password from FILE"},
      {"new-passcmd", 0, "COMMAND", "read the new password from what COMMAND prints"},
      {"new-pass-fd", 0, "N", "read the new password from file descriptor N"},
  };
  return options;
}

Result<Secret> read_password(World& world, const Arguments& arguments, const std::string& prompt) {
  std::optional<Secret> given = TRY(from_options(world, arguments, kCurrent));
  if (!given) given = TRY(from_environment(world));
  if (given) return std::move(*given);
  if (!world.stdin_is_tty) return from_standard_input(world);
  Secret typed = TRY(world.terminal.ask_secret(prompt, kPasswordMax));
  return checked(std::move(typed), "the terminal");
}

Result<Secret> read_first_password(World& world, const Arguments& arguments) {
  std::optional<Secret> given = TRY(from_options(world, arguments, kCurrent));
  if (!given) given = TRY(from_environment(world));
  if (given) return std::move(*given);
  return world.stdin_is_tty ? ask_twice(world, "Password for the new vault: ") : from_standard_input(world);
}

Result<Secret> read_new_password(World& world, const Arguments& arguments) {
  std::optional<Secret> given = TRY(from_options(world, arguments, kNew));
  if (given) return std::move(*given);
  return world.stdin_is_tty ? ask_twice(world, "New password: ") : from_standard_input(world);
}

Result<Secret> read_pin(World& world, const Arguments& arguments, PinOf of, const std::string& prompt) {
  std::optional<Secret> given = TRY(from_options(world, arguments, of == PinOf::new_slot ? kNew : kCurrent));
  if (given) return std::move(*given);
  if (!world.stdin_is_tty) return from_standard_input(world);
  Secret typed = TRY(world.terminal.ask_secret(prompt, kPasswordMax));
  return checked(std::move(typed), "the terminal");
}

Result<Secret> read_recovery_words(World& world, const Arguments& arguments) {
  std::optional<Secret> given = TRY(from_options(world, arguments, kCurrent));
  if (!given && world.stdin_is_tty) given = TRY(ask_for_words(world));
  if (!given) given = TRY(from_standard_input(world));
  return store::decode_recovery_words(given->view());
}

Result<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool blank = c == ' ' || c == '\t' || c == '\n';
    if (quote == 0 && blank) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == '\\' && quote != '\'') {
      if (++i == line.size()) return Error(Code::usage, "the password command ends in a backslash");
      words.back().push_back(line[i]);
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else {
      words.back().push_back(c);
    }
  }
  if (quote != 0) return Error(Code::usage, "the password command has an open quote");
  return words;
}

}  // namespace tain::cli
