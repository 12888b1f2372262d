// SPDX-License-Identifier: Apache-2.0
#include "store/header_file.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "base/file.h"

namespace tain::store {
namespace {

/// What one of the two files turned out to be: a header, or the reason why not.
struct Copy {
  std::string path;
  Bytes bytes;
  Result<Header> header;
};

Copy read_copy(const std::string& directory, const char* name) {
  std::string path = directory + "/" + name;
  Result<Bytes> content = read_file(path, kHeaderSizeMax);
  if (!content.ok()) return {std::move(path), {}, std::move(content).error()};
  Result<Header> header = decode_header(*content);
  return {std::move(path), std::move(content).value(), std::move(header)};
}

bool is_missing(const Copy& copy) {
  return copy.header.is(Code::not_found) || copy.header.is(Code::not_directory);
}

/// The file was read and is no intact header, as opposed to: the system would not let us read it.
bool is_damaged(const Copy& copy) {
  return copy.header.is(Code::header_damaged) || copy.header.is(Code::not_a_vault) || copy.header.is(Code::too_large) ||
         copy.header.is(Code::invalid_argument);
}

std::string reason(const Copy& copy) {
  return is_missing(copy) ? copy.path + " is missing" : copy.path + ": " + copy.header.error().message();
}

/// Why neither copy can be used.
Error explain(const std::string& directory, Copy& first, Copy& second) {
  if (is_missing(first) && is_missing(second))
    return Error(Code::not_a_vault, directory + " is not a tain vault")
        .hint("check the path, or make a vault there with: tain init " + directory);
  for (Copy* copy : {&first, &second})
    if (!is_missing(*copy) && !is_damaged(*copy))
      return std::move(copy->header).error().with("read the vault's header");
  return Error(Code::header_damaged,
               "both copies of the vault's header are damaged: " + reason(first) + "; " + reason(second))
      .hint("without a header no password can open the vault: keep these files, and restore " +
            std::string(kHeaderName) + " or " + kHeaderCopyName + " from a backup of the vault directory");
}

/// Whether the second copy is the one to use, both being intact.
bool is_newer(const Header& second, const Header& first) {
  // A copy of another vault, laid here by mistake, must not win by its number.
  return second.vault == first.vault && second.sequence > first.sequence;
}

}  // namespace

Result<std::string> vault_path(const std::string& directory) {
  auto path = canonical_path(directory);
  if (path.ok()) return path;
  if (path.is(Code::not_found) || path.is(Code::not_directory))
    return Error(Code::not_a_vault, directory + " does not exist").hint("make a vault there: tain init " + directory);
  return path;
}

Result<UniqueFd> lock_header(const std::string& directory) {
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + directory);
  if (::flock(fd.get(), LOCK_EX) != 0) return errno_error(errno, "lock " + directory);
  return fd;
}

Result<LoadedHeader> load_header(const std::string& directory) {
  Copy first = read_copy(directory, kHeaderName);
  Copy second = read_copy(directory, kHeaderCopyName);
  // A later version of tain has been here: an older copy beside its header must not be used.
  for (Copy* copy : {&first, &second})
    if (copy->header.is(Code::format_too_new) || copy->header.is(Code::format_too_old))
      return std::move(copy->header).error().with(copy->path);
  if (!first.header.ok() && !second.header.ok()) return explain(directory, first, second);

  LoadedHeader out;
  out.copies_differ = first.bytes != second.bytes || first.header.ok() != second.header.ok();
  if (!first.header.ok()) {
    out.copy_used = true;
    out.complaint = reason(first) + "; using " + second.path;
  } else if (!second.header.ok()) {
    out.complaint = reason(second) + "; using " + first.path;
  } else if (out.copies_differ) {
    out.copy_used = is_newer(*second.header, *first.header);
    out.complaint = first.path + " and " + second.path + " differ; using the " +
                    (out.copy_used ? std::string("second, which is newer") : std::string("first"));
  }
  Copy& chosen = out.copy_used ? second : first;
  out.header = std::move(chosen.header).value();
  out.bytes = std::move(chosen.bytes);
  return out;
}

Result<> save_header(const std::string& directory, ByteView bytes) {
  const std::string path = directory + "/" + kHeaderName;
  const auto written = replace_file(path, bytes);
  if (!written.ok()) {
    // It may have failed after the new one had taken the place of the old.
    const auto content = read_file(path, kHeaderSizeMax);
    const bool is_old = content.ok() ? !std::equal(content->begin(), content->end(), bytes.begin(), bytes.end())
                                     : content.is(Code::not_found);
    if (is_old) return written;
  }
  const auto copied = replace_file(directory + "/" + kHeaderCopyName, bytes);
  if (!written.ok())
    return Error(Code::partial, "the new header is written, but the disk does not confirm it: " + written.error().message())
        .hint("after a power cut the header of before may be back, with its keys; look after the disk");
  if (!copied.ok())
    return Error(Code::partial, "the header is written, but not its second copy: " + copied.error().message())
        .hint("the change counts, and the next mount writes the second copy; until then that one opens with the keys of before");
  return {};
}

Result<> save_first_header(const std::string& directory, ByteView bytes) {
  auto saved = save_header(directory, bytes);
  if (saved.is(Code::partial)) return Error(Code::io, saved.error().message());
  return saved;
}

Result<> repair_header(const std::string& directory, const LoadedHeader& loaded) {
  for (const char* name : {kHeaderName, kHeaderCopyName}) {
    const std::string path = directory + "/" + name;
    Result<Bytes> content = read_file(path, kHeaderSizeMax);
    if (content.ok() && *content == loaded.bytes) continue;
    TRY(replace_file(path, loaded.bytes));
  }
  return {};
}

}  // namespace tain::store
