// SPDX-License-Identifier: Apache-2.0
// A line at the bottom of the terminal that says how far something is.
#pragma once

#include <chrono>
#include <string>

#include "cli/world.h"

namespace tain::cli {

/// Draws on err if that is a terminal, a few times a second; draws nothing otherwise. Clears its line when it goes.
class ProgressLine {
 public:
  ProgressLine(World& world, std::string verb) : world_(world), verb_(std::move(verb)) {}
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  /// `total` 0: not known yet.
  void show(uint64_t done, uint64_t total);
  /// `part` from 0 to 1, where what is left is not known in bytes.
  void show_part(double part, uint64_t done);

 private:
  /// False when there is nothing to draw on, or it was drawn a moment ago.
  bool begin();
  void bar(double part);
  World& world_;
  const std::string verb_;
  std::chrono::steady_clock::time_point next_{};
  bool drawn_ = false;
};

}  // namespace tain::cli
