// SPDX-License-Identifier: Apache-2.0
#include "cli/recovery_sheet.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "base/file.h"
#include "cli/qr_code.h"
#include "store/recovery_words.h"
#include "store/vault.h"

namespace tain::cli {
namespace {

using store::kRecoveryWordCount;

constexpr size_t kColumns = 3;
constexpr size_t kColumnWidth = 15;
constexpr size_t kSheetSizeMax = 16 * 1024;  // bytes
constexpr size_t kWordsAsked = 3;
constexpr size_t kMistakesMax = 5;

using Words = std::array<std::string_view, kRecoveryWordCount>;

/// Views into `text`.
Words split(const Secret& text) {
  Words out;
  std::string_view rest = as_text(text.view());
  for (std::string_view& word : out) {
    word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
  }
  return out;
}

/// Text in guarded memory.
class Page {
 public:
  Page() : text_(kSheetSizeMax) {}
  void add(std::string_view text) {
    const size_t size = std::min(text.size(), text_.size() - size_);
    std::copy_n(text.begin(), size, text_.span().begin() + static_cast<ptrdiff_t>(size_));
    size_ += size;
  }
  ByteView view() const { return text_.view().first(size_); }

 private:
  Secret text_;
  size_t size_ = 0;
};

/// Down, then across, as people read a list.
void add_grid(Page& page, const Words& words) {
  constexpr size_t rows = kRecoveryWordCount / kColumns;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < kColumns; ++column) {
      const size_t at = column * rows + row;
      const std::string number = std::to_string(at + 1);
      page.add(std::string(5 - number.size(), ' ') + number + " ");
      page.add(words[at]);
      if (column + 1 < kColumns) page.add(std::string(kColumnWidth - words[at].size(), ' '));
    }
    page.add("\n");
  }
}

std::string today() {
  const time_t now = ::time(nullptr);
  tm local{};
  char text[32] = "?";
  if (::localtime_r(&now, &local) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%d", &local);
  return text;
}

Result<> write_sheet(const std::string& path, const std::string& directory, const store::VaultInfo& info, const Secret& text) {
  Page page;
  page.add("Recovery words of a tain vault\n\n");
  page.add("  vault   " + directory + "\n  id      " + to_hex(info.id.bytes) + ", key epoch " + std::to_string(info.epoch) +
           "\n  made    " + today() + "\n\n");
  add_grid(page, split(text));
  page.add("\nWhoever has these words and the vault can read everything in it. Keep this sheet where you keep papers that must\n"
           "not be lost or read, and not beside the computer.\n\n"
           "To open the vault with them:      tain mount --recovery VAULT FOLDER\n"
           "To choose a new password:         tain passwd --recovery VAULT\n"
           "To make these words invalid:      tain key list VAULT, then tain key remove VAULT SLOT\n");
  add_qr_code(text.view(), Background::light, [&page](std::string_view piece) { page.add(piece); });

  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return errno_error(errno, "make " + path);
  TRY(write_exactly(fd.get(), page.view(), 0));
  if (::fsync(fd.get()) != 0) return errno_error(errno, "flush " + path);
  return {};
}

/// Past the buffers of the stream, which would keep the words.
Result<> show(World& world, const Page& page) {
  std::string_view text = as_text(page.view());
  world.out.flush();
  if (world.out_fd < 0) world.out.write(text.data(), static_cast<std::streamsize>(text.size()));
  while (world.out_fd >= 0 && !text.empty()) {
    const ssize_t n = ::write(world.out_fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "show the recovery words");
    text.remove_prefix(static_cast<size_t>(n));
  }
  return flush_output(world);
}

/// Asks for some of the words: who has not written them down does not have them.
Result<> ask_again(World& world, const Words& words) {
  std::array<size_t, kRecoveryWordCount> order;
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (size_t i = 0; i < kWordsAsked; ++i) std::swap(order[i], order[i + random_u64() % (order.size() - i)]);
  std::sort(order.begin(), order.begin() + kWordsAsked);
  size_t mistakes = 0;
  for (size_t i = 0; i < kWordsAsked;) {
    const std::string number = std::to_string(order[i] + 1);
    const Secret typed = TRY(world.terminal.ask_secret("Type word " + number + " from your paper: ", store::kPasswordMax));
    if (store::find_recovery_word(as_text(typed.view())) == store::find_recovery_word(words[order[i]])) {
      ++i;
    } else if (++mistakes == kMistakesMax) {
      return Error(Code::invalid_argument, "the recovery words were not written down; they are not valid")
          .hint("begin again with: tain key add VAULT recovery");
    } else {
      note(world, "that is not word " + number + "; look again");
    }
  }
  return {};
}

}  // namespace

const Option& sheet_option() {
  static const Option option = {"sheet", 0, "FILE", "write the recovery words into a new FILE for printing, and show them nowhere else"};
  return option;
}

Result<> check_sheet(const Arguments& arguments) {
  const auto file = arguments.value("sheet");
  if (!file && arguments.has("json"))
    return Error(Code::usage, "recovery words are not part of the JSON").hint("give a new file for them: --sheet FILE");
  if (file && ::access(file->c_str(), F_OK) == 0) return Error(Code::exists, *file + " exists").hint("give a new file");
  return {};
}

Result<store::Credential> hand_out_recovery_words(World& world, const Arguments& arguments, const std::string& directory) {
  TRY(check_sheet(arguments));
  const store::VaultInfo info = TRY(store::Vault::inspect(directory));
  const Secret secret = Secret::random(store::kRecoverySecretSize);
  const Secret text = store::encode_recovery_words(secret.view());
  const Words words = split(text);
  if (const auto file = arguments.value("sheet")) {
    TRY(write_sheet(*file, directory, info, text));
    note(world, "the recovery words are in " + *file + ": print it, then delete it");
    return store::Credential::from_recovery(secret);
  }
  Page page;
  if (!world.stdin_is_tty || !world.out_is_tty) {
    page.add(as_text(text.view()));
    page.add("\n");
    TRY(show(world, page));
    return store::Credential::from_recovery(secret);
  }
  page.add("\nThese words open the vault without its password. They are shown once. Write them down on paper, with their numbers:\n\n");
  add_grid(page, words);
  add_qr_code(text.view(), Background::dark, [&page](std::string_view piece) { page.add(piece); });
  page.add("\n");
  TRY(show(world, page));
  TRY(ask_again(world, words));
  note(world, "keep the paper away from the computer, and clear this terminal");
  return store::Credential::from_recovery(secret);
}

}  // namespace tain::cli
