// SPDX-License-Identifier: Apache-2.0
#include "cli/interrupt.h"

namespace tain::cli {
namespace {

volatile std::sig_atomic_t signal_came = 0;  // all that a signal handler may touch

void note_signal(int) { signal_came = 1; }

}  // namespace

InterruptWatch::InterruptWatch() {
  signal_came = 0;
  struct sigaction action {};
  action.sa_handler = note_signal;
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &before_[i]);
}

InterruptWatch::~InterruptWatch() {
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
}

bool InterruptWatch::interrupted() const { return signal_came != 0; }

}  // namespace tain::cli
