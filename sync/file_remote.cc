// SPDX-License-Identifier: Apache-2.0
#include "sync/file_remote.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/secret.h"
#include "sync/remote_files.h"

namespace tain::sync {

namespace {

constexpr const char* kTemporaries = "t";
constexpr size_t kListPageSize = 1000;               // names of a page of a listing
constexpr size_t kSweepMax = 1000;                   // entries of t/ that one put looks at
constexpr int64_t kTemporaryAgeMax = 24L * 60 * 60;  // seconds; no put takes that long
constexpr size_t kCompareSize = 65536;               // bytes that are compared at once
constexpr size_t kDurableFoldersMax = 4096;          // four times what a remote has

/// An empty mountpoint looks like a remote from which everything was removed. Neither is one that may be used unasked.
Result<> check_is_remote(int root, const std::string& directory) {
  for (const ObjectFolder folder : kObjectFolders)
    if (is_folder(root, std::string(folder_name(folder)))) return {};
  return Error(Code::remote_unreachable, directory + " holds nothing of a remote")
      .hint("is the disk or share of the remote mounted?");
}

/// Whether the file holds just these bytes. What cannot be read does not: ours will take its place.
bool has_bytes(const OpenFile& file, ByteView bytes) {
  if (file.size != bytes.size()) return false;
  Bytes piece(std::min(kCompareSize, bytes.size()));
  for (size_t offset = 0; offset < bytes.size(); offset += piece.size()) {
    const ByteView expected = bytes.subspan(offset, std::min(piece.size(), bytes.size() - offset));
    const ByteSpan read = ByteSpan(piece).first(expected.size());
    if (!read_fully(file, read, offset).ok() || !std::equal(read.begin(), read.end(), expected.begin())) return false;
  }
  return true;
}

/// Whether some object can be in a shard of that name.
bool is_shard(const std::string& name) {
  return name.size() == kShardSize && parse_base32(name + std::string(kObjectIdSize - kShardSize, 'a')).has_value();
}

/// The least names of objects in a folder that come after `from`, at most `max`. Adds to `*ignored`, unless it is null,
/// what is none of ours.
Result<std::set<std::string>> least_names(int folder, const std::string& shard, const std::string& from, size_t max,
                                          uint64_t* ignored) {
  std::set<std::string> names;
  TRY(for_each_name(folder, "a folder", [&](const std::string& name) {
    if (!name.starts_with(shard) || !parse_base32(name).has_value()) {
      if (ignored != nullptr) ++*ignored;
    } else if (name > from) {
      names.insert(name);
      if (names.size() > max) names.erase(std::prev(names.end()));
    }
    return true;
  }));
  return names;
}

/// Adds the objects of those names.
Result<> add_objects(int folder, ObjectFolder kind, const std::set<std::string>& names, RemoteListing& out) {
  for (const std::string& name : names) {
    bool is_other = false;
    const std::optional<uint64_t> size = TRY(size_of_regular(folder, name, name, &is_other));
    if (size.has_value()) out.objects.push_back({{kind, parse_base32(name).value_or(Id32{})}, *size});
    if (is_other) ++out.ignored;
  }
  return {};
}

/// One page of `o/`, over as many shards as fill it.
Result<> list_shards(int folder, const std::string& from, RemoteListing& out) {
  std::set<std::string> shards;
  TRY(for_each_name(folder, "o", [&](const std::string& name) {
    if (is_shard(name)) shards.insert(name);
    else if (from.empty()) ++out.ignored;
    return true;
  }));
  const std::string reached = from.substr(0, kShardSize);
  size_t taken = 0;
  for (auto shard = shards.lower_bound(reached); shard != shards.end(); ++shard) {
    const UniqueFd opened = open_folder(folder, *shard);
    if (!opened.valid() && !is_absent(errno)) return remote_error(errno, "list o/" + *shard);
    if (!opened.valid()) {
      if (errno != ENOENT) ++out.ignored;
      continue;
    }
    // The rest of a shard that the page before began has no name that it did not count.
    uint64_t* ignored = *shard == reached ? nullptr : &out.ignored;
    const auto names = TRY(least_names(opened.get(), *shard, from, kListPageSize - taken, ignored));
    TRY(add_objects(opened.get(), ObjectFolder::objects, names, out));
    taken += names.size();
    if (taken < kListPageSize) continue;
    out.next = *names.rbegin();
    return {};
  }
  return {};
}

}  // namespace

/// Where an object is: the pieces of "o/ab/abcd…".
struct FileRemote::Place {
  explicit Place(const ObjectName& name) : path(name.path()) {
    size_t begin = 0;
    for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', begin)) {
      folders.push_back(path.substr(begin, slash - begin));
      begin = slash + 1;
    }
    file = path.substr(begin);
  }
  std::string path;
  std::vector<std::string> folders;
  std::string file;
};

Result<> FileRemote::create(const std::string& directory) {
  const FileRemote remote(directory);
  const UniqueFd root = TRY(remote.open_directory());
  for (const ObjectFolder folder : kObjectFolders) {
    const std::string name(folder_name(folder));
    TRY(make_folder(root.get(), name));
    if (!is_folder(root.get(), name)) return remote_error(ENOTDIR, "open the folder " + name);
  }
  return flush_folder(root.get(), directory);
}

Result<UniqueFd> FileRemote::open_directory() const {
  UniqueFd root(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return remote_error(errno, "open " + directory_);
  return root;
}

/// The folder for reading; an invalid descriptor if it is not there.
Result<UniqueFd> FileRemote::find_folder(const std::vector<std::string>& folders) const {
  UniqueFd at = TRY(open_directory());
  for (const std::string& name : folders) {
    UniqueFd next = open_folder(at.get(), name);
    if (!next.valid() && !is_absent(errno)) return remote_error(errno, "open the folder " + name);
    if (!next.valid()) {
      if (&name == &folders.front()) TRY(check_is_remote(at.get(), directory_));
      return UniqueFd();
    }
    at = std::move(next);
  }
  return at;
}

/// The folder, made where it is missing; its name is durable.
Result<UniqueFd> FileRemote::ready_folder(int root, const std::vector<std::string>& folders) {
  UniqueFd at;
  for (const std::string& name : folders) {
    const int parent = at.valid() ? at.get() : root;
    UniqueFd next = open_folder(parent, name);
    const bool is_missing = !next.valid() && errno == ENOENT;
    if (is_missing) {
      if (!at.valid()) TRY(check_is_remote(root, directory_));
      TRY(make_folder(parent, name));
      next = open_folder(parent, name);
    }
    struct stat st {};
    if (!next.valid() || ::fstat(next.get(), &st) != 0) return remote_error(errno, "open the folder " + name);
    const std::pair identity(st.st_dev, st.st_ino);
    // Also of a folder that was there: whoever made it may have died before its name was durable.
    if (is_missing || !is_durable(identity)) {
      TRY(flush_folder(parent, "the folder above " + name));
      note_durable(identity);
    }
    at = std::move(next);
  }
  return at;
}

bool FileRemote::is_durable(const std::pair<dev_t, ino_t>& folder) {
  std::lock_guard lock(mutex_);
  return durable_folders_.contains(folder);
}

void FileRemote::note_durable(const std::pair<dev_t, ino_t>& folder) {
  std::lock_guard lock(mutex_);
  // Only where disks or folders are exchanged again and again.
  if (durable_folders_.size() >= kDurableFoldersMax) durable_folders_.clear();
  durable_folders_.insert(folder);
}

Result<> FileRemote::put(const ObjectName& name, ByteView bytes) {
  const Place place(name);
  const UniqueFd root = TRY(open_directory());
  const UniqueFd folder = TRY(ready_folder(root.get(), place.folders));
  const std::optional<OpenFile> present = TRY(open_regular(folder.get(), place.file, place.path));
  if (!present.has_value() || !has_bytes(*present, bytes)) {
    TRY(replace(root.get(), folder.get(), place, bytes));
  } else if (::fsync(present->fd.get()) != 0) {  // whoever wrote it may not have done that
    return remote_error(errno, "flush " + place.path);
  }
  return flush_folder(folder.get(), "the folder of " + place.path);
}

/// What is there under the name, if anything, is torn, damaged or foreign: the name means these bytes and no others.
Result<> FileRemote::replace(int root, int folder, const Place& place, ByteView bytes) {
  UniqueFd temporaries = open_folder(root, kTemporaries);
  if (!temporaries.valid() && errno == ENOENT) {
    TRY(make_folder(root, kTemporaries));
    temporaries = open_folder(root, kTemporaries);
  }
  if (!temporaries.valid()) return remote_error(errno, std::string("open the folder ") + kTemporaries);
  const std::string temporary = base32(random_array<32>());
  const int64_t now = TRY(write_new_file(temporaries.get(), temporary, bytes));
  if (::renameat(temporaries.get(), temporary.c_str(), folder, place.file.c_str()) != 0) {
    Error error = remote_error(errno, "rename to " + place.path);
    ::unlinkat(temporaries.get(), temporary.c_str(), 0);
    return error;
  }
  sweep(temporaries.get(), now);
  return {};
}

/// Removes what puts that died have left, once a day. Both times are by the remote's clock, so a wrong one here cannot
/// make another device's file look old.
void FileRemote::sweep(int temporaries, int64_t now) {
  {
    std::lock_guard lock(mutex_);
    if (swept_at_.has_value() && now >= *swept_at_ && now - *swept_at_ < kTemporaryAgeMax) return;
    swept_at_ = now;
  }
  size_t looked_at = 0;
  const Result<> swept = for_each_name(temporaries, kTemporaries, [&](const std::string& name) {
    struct stat st {};
    if (parse_base32(name).has_value() && ::fstatat(temporaries, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(st.st_mode) && now - st.st_mtim.tv_sec > kTemporaryAgeMax) {
      ::unlinkat(temporaries, name.c_str(), 0);
    }
    return ++looked_at < kSweepMax;
  });
  static_cast<void>(swept.ok());  // a failure costs some room until tomorrow
}

Result<Bytes> FileRemote::get(const ObjectName& name, uint64_t size_max) {
  const OpenFile file = TRY(open_object(name));
  if (file.size > size_max) return Error(Code::too_large, name.path() + " is larger than it may be");
  Bytes out(file.size);
  TRY(read_fully(file, out, 0));
  return out;
}

Result<Bytes> FileRemote::get_range(const ObjectName& name, uint64_t offset, uint64_t length) {
  const OpenFile file = TRY(open_object(name));
  if (offset >= file.size) return Bytes();
  Bytes out(std::min(length, file.size - offset));
  TRY(read_fully(file, out, offset));
  return out;
}

Result<OpenFile> FileRemote::open_object(const ObjectName& name) const {
  const Place place(name);
  const UniqueFd folder = TRY(find_folder(place.folders));
  std::optional<OpenFile> file;
  if (folder.valid()) file = TRY(open_regular(folder.get(), place.file, place.path));
  if (!file.has_value()) return Error(Code::not_found, place.path + " is not on the remote");
  return *std::move(file);
}

Result<std::optional<uint64_t>> FileRemote::stat(const ObjectName& name) {
  const Place place(name);
  const UniqueFd folder = TRY(find_folder(place.folders));
  if (!folder.valid()) return std::optional<uint64_t>();
  return size_of_regular(folder.get(), place.file, place.path);
}

Result<RemoteListing> FileRemote::list(ObjectFolder folder, const std::string& from) {
  if (!from.empty() && !parse_base32(from).has_value()) return Error(Code::invalid_argument, "no page of a listing ended there");
  const UniqueFd opened = TRY(find_folder({std::string(folder_name(folder))}));
  RemoteListing out;
  if (!opened.valid()) return out;
  if (folder == ObjectFolder::objects) {
    TRY(list_shards(opened.get(), from, out));
    return out;
  }
  const auto names = TRY(least_names(opened.get(), "", from, kListPageSize, from.empty() ? &out.ignored : nullptr));
  TRY(add_objects(opened.get(), folder, names, out));
  if (names.size() == kListPageSize) out.next = *names.rbegin();
  return out;
}

Result<> FileRemote::remove(const ObjectName& name) {
  const Place place(name);
  const UniqueFd folder = TRY(find_folder(place.folders));
  if (!folder.valid()) return {};
  // What is no object of ours stays. Not flushed: an object that comes back after a power cut does no harm.
  if (!TRY(size_of_regular(folder.get(), place.file, place.path)).has_value()) return {};
  if (::unlinkat(folder.get(), place.file.c_str(), 0) != 0 && errno != ENOENT) return remote_error(errno, "remove " + place.path);
  return {};
}

}  // namespace tain::sync
