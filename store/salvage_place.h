// SPDX-License-Identifier: Apache-2.0
// Where tain salvage builds the new vault: beside its place, so that it can be moved there in one step.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace tain::store {

/// Goes away with everything in it unless it was moved.
class Workplace {
 public:
  /// Errors: exists (also: somebody is at work), not_empty, not_found, io.
  static Result<Workplace> make(const std::string& to);
  ~Workplace();
  Workplace(Workplace&& other) noexcept : place_(std::move(other.place_)), path_(std::exchange(other.path_, {})) {}
  Workplace& operator=(Workplace&&) = delete;

  const std::string& path() const { return path_; }
  /// The last step, durable when it returns.
  Result<> finish() &&;

 private:
  Workplace(std::string place, std::string path) : place_(std::move(place)), path_(std::move(path)) {}
  std::string place_, path_;
};

}  // namespace tain::store
