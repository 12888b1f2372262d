// SPDX-License-Identifier: Apache-2.0
#include "cli/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <exception>

#include "base/bytes.h"
#include "base/file.h"

namespace tain::cli {
namespace {

constexpr uint8_t kDone = 0;
constexpr uint8_t kFailed = 1;

/// kFailed, code, message and hint, as far as there is room.
Bytes told(const Error& error) {
  const auto cut = [](const std::string& text) { return as_bytes(std::string_view(text).substr(0, kChildAnswerMax / 4)); };
  Bytes out;
  Writer w(out);
  w.u8(kFailed).u8(static_cast<uint8_t>(error.code())).string16(cut(error.message())).string16(cut(error.hint()));
  return out;
}

Error heard(ByteView answer) {
  Reader in(answer);
  in.u8();
  const Code code{in.u8()};
  const std::string message(as_text(in.string16())), hint(as_text(in.string16()));
  return Error(code, message).hint(hint);
}

[[noreturn]] void run_and_exit(int fd, const std::function<Result<Secret>()>& work) {
  ::prctl(PR_SET_NAME, "tain-child");
  bool sent = false;
  try {
    const Result<Secret> result = work();
    if (result.ok()) {
      Secret answer(1 + result->size());
      answer.span()[0] = kDone;
      std::copy(result->view().begin(), result->view().end(), answer.span().begin() + 1);
      sent = ::write(fd, answer.view().data(), answer.size()) == static_cast<ssize_t>(answer.size());
    } else {
      const Bytes answer = told(result.error());
      sent = ::write(fd, answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
    }
  } catch (const std::exception&) {  // no memory: the parent sees that nothing came
  }
  ::_exit(sent ? 0 : 1);
}

}  // namespace

Result<Secret> in_child(const std::function<Result<Secret>()>& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  UniqueFd reader(ends[0]), writer(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error(errno, "start a process");
  if (pid == 0) {
    reader = UniqueFd();
    run_and_exit(writer.get(), work);
  }
  writer = UniqueFd();
  Secret answer(1 + kChildAnswerMax);
  size_t size = 0;
  while (size < answer.size()) {
    const ssize_t got = ::read(reader.get(), answer.span().data() + size, answer.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<size_t>(got);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (size == 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return Error(Code::io, WIFSIGNALED(status) ? "the process that asks the device was ended by signal " + std::to_string(WTERMSIG(status))
                                               : "the process that asks the device ended without an answer");
  answer.shrink(size);
  if (answer.view()[0] != kDone) return heard(answer.view());
  return Secret::copy_of(answer.view().subspan(1));
}

}  // namespace tain::cli
