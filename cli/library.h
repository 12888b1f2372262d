// SPDX-License-Identifier: Apache-2.0
// Libraries that are loaded when they are needed: most mounts never ask a device, and shall not pay for it.
#pragma once

#include <dlfcn.h>

#include <string>

#include "base/result.h"

namespace tain::cli {

/// A shared library, loaded for as long as the process lives. Copies mean the same one.
class Library {
 public:
  /// `package`: what has to be installed if it is not there, for the hint. Errors: unsupported.
  static Result<Library> load(const char* file, const char* package) {
    void* const handle = ::dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return Library(handle);
    return Error(Code::unsupported, std::string(file) + " is not there").hint(std::string("install the package ") + package);
  }
  /// The function called `name`, in it or in what it needs; null if there is none. F: its declared type.
  template <class F>
  F* function(const char* name) const {
    return reinterpret_cast<F*>(::dlsym(handle_, name));
  }

 private:
  explicit Library(void* handle) : handle_(handle) {}
  void* handle_;
};

}  // namespace tain::cli
