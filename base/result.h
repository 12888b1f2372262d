// SPDX-License-Identifier: Apache-2.0
// The error model of the whole project: Result<T>, Error and TRY.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace tain {

/// What went wrong, as far as a caller may branch on it. Never branch on the text.
/// `fs/errno.h` maps each code to an errno, `cli/exit.h` to an exit status.
enum class Code {
  // Namespace and file content: the POSIX vocabulary.
  not_found,         // ENOENT
  exists,            // EEXIST
  not_directory,     // ENOTDIR
  is_directory,      // EISDIR
  not_empty,         // ENOTEMPTY
  name_too_long,     // ENAMETOOLONG
  too_large,         // EFBIG
  too_many_links,    // EMLINK
  invalid_argument,  // EINVAL
  not_permitted,     // EPERM
  access_denied,     // EACCES
  time_locked,       // EACCES: the time that the user set for it has not come
  no_attribute,      // ENODATA
  out_of_range,      // ERANGE
  too_big,           // E2BIG
  no_such_offset,    // ENXIO (lseek past the end)
  unsupported,       // EOPNOTSUPP
  read_only,         // EROFS
  stale,             // ESTALE
  busy,              // EBUSY
  // Resources and devices.
  no_space,  // ENOSPC
  io,        // EIO: the operating system refused a read, write or flush
  memory,    // ENOMEM
  // The vault.
  corrupt,           // a checksum or an authentication tag did not match
  not_a_vault,       // the directory holds no vault
  in_use,            // another process has this vault open
  wrong_password,    // no key slot opened
  empty_password,    // refused before any work
  header_damaged,    // no intact copy of the header
  format_too_new,    // written by a later version of tain
  format_too_old,    // written by a development version before the first release
  suite_missing,     // the CPU lacks the cipher this object was sealed with
  // A remote.
  remote_unreachable,  // nobody answered, or too late: try again
  remote_refused,      // it said no: credentials, permissions, a redirect
  remote_foreign,      // it holds another vault, or nothing where there was something
  // The program.
  usage,             // the command line is wrong
  mountpoint,        // the mountpoint cannot be used
  fuse,              // FUSE could not be started
  interrupted,       // the user said stop
  partial,           // part of the work was done
};

/// A failure: a code to branch on, a message for a person, and perhaps the next step.
/// Messages are lower case without a full stop and hold no secret and no plaintext name.
class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  /// What the user can do about it; empty when there is nothing useful to say.
  const std::string& hint() const { return hint_; }

  /// Says what was being done: "open store: read page: input/output error".
  Error with(std::string_view context) && {
    message_ = std::string(context) + ": " + message_;
    return std::move(*this);
  }
  Error hint(std::string hint) && {
    hint_ = std::move(hint);
    return std::move(*this);
  }

 private:
  Code code_;
  std::string message_;
  std::string hint_;
};

/// An Error built from `errno_value` with the system's text; `what` says what failed.
Error errno_error(int errno_value, std::string_view what);

/// Either a T or an Error. Dropping one is a compile error.
template <class T = void>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }

  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }
  Code code() const { return error().code(); }
  bool is(Code code) const { return !ok() && error().code() == code; }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() && {}
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }
  Code code() const { return error_->code(); }
  bool is(Code code) const { return !ok() && error_->code() == code; }

 private:
  std::optional<Error> error_;
};

}  // namespace tain

/// Yields the value of a Result, or returns its Error from the enclosing function.
#define TRY(expression)                                    \
  ({                                                       \
    auto&& try_result = (expression);                      \
    if (!try_result.ok()) return std::move(try_result).error(); \
    std::move(try_result).value();                         \
  })
