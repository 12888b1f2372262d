// SPDX-License-Identifier: Apache-2.0
// A world for commands under test: streams in memory, an environment of its own, a terminal that types.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <deque>
#include <map>
#include <sstream>
#include <string>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/world.h"
#include "tests/support/temp_directory.h"

namespace tain::cli {

class FakeTerminal final : public Terminal {
 public:
  Result<Secret> ask_secret(std::string_view prompt, size_t) override {
    prompts.emplace_back(prompt);
    if (answers.empty()) return Error(Code::interrupted, "interrupted");
    const std::string answer = answers.front();
    answers.pop_front();
    return Secret::copy_of(as_bytes(answer));
  }
  std::deque<std::string> answers;
  std::vector<std::string> prompts;
};

class FakeWorld {
 public:
  FakeWorld() : world{.terminal = terminal, .out = out, .err = err} {
    world.uid = ::getuid();
    world.env = [this](const char* name) {
      const auto found = environment.find(name);
      return found == environment.end() ? std::string() : found->second;
    };
    set_stdin("");
  }

  void set_stdin(std::string_view text) {
    const std::string path = directory.file("stdin", text);
    stdin_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    world.stdin_fd = stdin_.get();
  }
  int run(const std::vector<std::string>& words) { return cli::run(world, words); }

  test::TempDirectory directory;
  FakeTerminal terminal;
  std::ostringstream out, err;
  std::map<std::string, std::string> environment;
  World world;

 private:
  UniqueFd stdin_;
};

}  // namespace tain::cli
