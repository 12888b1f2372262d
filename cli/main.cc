// SPDX-License-Identifier: Apache-2.0
// The program tain: builds the world and runs one command in it.
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "base/secret.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/mount_options.h"

namespace {

using namespace tain;
using namespace tain::cli;

/// Starts the program anew, with every function of every library bound from the beginning. Otherwise ld.so looks a
/// function up when a library first calls it, and saves all vector registers on the stack meanwhile: there may still be
/// a key in them that was copied before, and nobody wipes that stack (tests/e2e/secrets.sh). Where it cannot be started
/// anew, it goes on.
void bind_all_functions(char** argv) {
  constexpr const char* kBindNow = "LD_BIND_NOW";   // ld.so(8)
  const char* const bound = std::getenv(kBindNow);  // NOLINT(concurrency-mt-unsafe): there is one thread
  if (bound != nullptr && *bound != '\0') {
    ::prctl(PR_SET_NAME, program_invocation_short_name);  // which "exe" has become
    return;
  }
  if (::getauxval(AT_SECURE) != 0) return;                               // ld.so may not heed it
  if (::setenv(kBindNow, "1", 1) == 0) ::execv("/proc/self/exe", argv);  // NOLINT(concurrency-mt-unsafe)
}

/// A caller may have closed descriptors 0 to 2. Left free they would go to the vault's lock or a pipe, and whatever
/// prints or detaches from the terminal would then write to these or close them.
bool fill_standard_descriptors() {
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);  // inherited by programs we start, as 0 to 2 are
  return fd > STDERR_FILENO && ::close(fd) == 0;
}

int run_program(World& world, std::string_view program, std::vector<std::string> words) {
  if (auto ready = init_crypto(); !ready.ok()) {
    print_error(world, ready.error());
    return kExitFailed;
  }
  if (program.ends_with("mount.tain")) {  // mount(8) calls it for the type "tain"
    auto translated = mount_helper_words(words);
    if (!translated.ok()) {
      print_error(world, translated.error());
      return kExitUsage;
    }
    if (translated->empty()) return kExitOk;
    words = *std::move(translated);
    words.insert(words.begin(), "mount");
  }
  return run(world, words);
}

}  // namespace

int main(int argc, char** argv) {
  bind_all_functions(argv);
  if (!fill_standard_descriptors()) return kExitFailed;
  // A reader that goes away shows as EPIPE where it is written, not as a death in the middle of something.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);  // ignored, as some callers leave it, nobody could wait for a child
  // Every command may hold a password or keys: no other process of this user reads them, and no core has them.
  const rlimit no_core{0, 0};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0 || ::prctl(PR_SET_DUMPABLE, 0) != 0) return kExitFailed;
  ControllingTerminal terminal;
  World world{.terminal = terminal, .out = std::cout, .err = std::cerr};
  world.out_fd = STDOUT_FILENO;
  world.stdin_is_tty = ::isatty(STDIN_FILENO) != 0;
  world.out_is_tty = ::isatty(STDOUT_FILENO) != 0;
  world.err_is_tty = ::isatty(STDERR_FILENO) != 0;
  world.uid = ::getuid();
  world.env = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  // The last barrier: libraries may throw, for want of memory at least.
  try {
    return run_program(world, argc > 0 ? argv[0] : "tain", {argv + std::min(argc, 1), argv + argc});
  } catch (const std::exception& exception) {
    print_error(world, Error(Code::memory, std::string("unexpected failure: ") + exception.what()));
    return kExitFailed;
  }
}
