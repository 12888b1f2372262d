// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <algorithm>

namespace tain::cli {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr size_t kBarWidth = 24;

}  // namespace

bool ProgressLine::begin() {
  if (!world_.err_is_tty) return false;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return false;
  next_ = now + kInterval;
  drawn_ = true;
  world_.err << "\r\033[K" << verb_;
  return true;
}

void ProgressLine::bar(double part) {
  const auto filled = static_cast<size_t>(part * static_cast<double>(kBarWidth));
  world_.err << " [" << std::string(filled, '#') << std::string(kBarWidth - filled, ' ') << "] "
             << static_cast<int>(part * 100) << " %, ";
}

void ProgressLine::show(uint64_t done, uint64_t total) {
  if (!begin()) return;
  if (total != 0) {
    bar(static_cast<double>(std::min(done, total)) / static_cast<double>(total));
    world_.err << format_bytes(done) << " of " << format_bytes(total);
  }
  world_.err.flush();
}

void ProgressLine::show_part(double part, uint64_t done) {
  if (!begin()) return;
  bar(std::clamp(part, 0.0, 1.0));
  world_.err << format_bytes(done) << std::flush;
}

ProgressLine::~ProgressLine() {
  if (drawn_) world_.err << "\r\033[K" << std::flush;
}

}  // namespace tain::cli
