// SPDX-License-Identifier: Apache-2.0
// tain log, diff and restore: how an entry was.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/history_source.h"
#include "cli/pager.h"
#include "fs/history_request.h"
#include "fs/subprocess.h"

namespace tain::cli {
namespace {

using nlohmann::json;

constexpr int kDifferent = 1;  // exit status of diff

int64_t now_ms() { return system_clock().wall_ns() / 1'000'000; }

std::string growth(const VersionInfo* before, const VersionInfo& version) {
  if (before == nullptr || before->is_damaged || version.is_damaged || before->size == version.size) return "";
  const bool is_more = version.size > before->size;
  return (is_more ? "+" : "-") + format_bytes(is_more ? version.size - before->size : before->size - version.size);
}

std::string padded(std::string text, size_t width, bool to_the_right = false) {
  if (text.size() >= width) return text;
  return to_the_right ? std::string(width - text.size(), ' ') + text : text + std::string(width - text.size(), ' ');
}

std::string line_of(const World& world, const VersionInfo* before, const VersionInfo& version) {
  std::string changed;
  for (const std::string& one : version.changed) changed += (changed.empty() ? "" : ", ") + one;
  std::string line = padded(std::to_string(version.number), 5, true) + "  " + human_time(version.since_ms) + "  " +
                     padded(version.is_damaged ? "?" : format_bytes(version.size), 11, true) + "  " + padded(growth(before, version), 12, true) + "  " + changed;
  if (version.is_damaged) line = coloured(world, world.out_is_tty, Colour::red, line);
  if (!version.until_ms) line = coloured(world, world.out_is_tty, Colour::green, line + "  (as it is now)");
  return line + '\n';
}

/// Plaintext of a version in memory, as a file that another program can open.
class VersionFile {
 public:
  static Result<VersionFile> make(HistorySource& source, const std::string& path, const VersionInfo& version) {
    UniqueFd fd(::memfd_create("tain", 0));  // inherited by diff
    if (!fd.valid()) return errno_error(errno, "make a file in memory");
    TRY(source.read(path, version, [&fd](ByteView bytes) -> Result<> {
      for (size_t sent = 0; sent < bytes.size();) {
        const ssize_t n = ::write(fd.get(), bytes.data() + sent, bytes.size() - sent);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error(errno, "keep a version in memory");
        sent += static_cast<size_t>(n);
      }
      return {};
    }));
    return VersionFile(std::move(fd));
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

 private:
  explicit VersionFile(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// One side of a comparison.
struct Side {
  std::string path;
  VersionInfo version;
  std::string label() const { return path + "\t" + human_time(version.since_ms) + " (version " + std::to_string(version.number) + ")"; }
};

Result<> compare(World& world, HistorySource& source, const Side& a, const Side& b) {
  const VersionFile old_file = TRY(VersionFile::make(source, a.path, a.version));
  const VersionFile new_file = TRY(VersionFile::make(source, b.path, b.version));
  std::vector<std::string> words = {"diff", "-u", "--label", a.label(), "--label", b.label()};
  if (world.out_is_tty && world.env("NO_COLOR").empty()) words.emplace_back("--color=always");
  words.insert(words.end(), {"--", old_file.path(), new_file.path()});
  auto process = fs::spawn(words, fs::Capture::standard_output);
  if (process.is(Code::not_found)) return Error(Code::not_found, "the program diff is missing").hint("install diffutils");
  fs::Subprocess running = TRY(std::move(process));
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(running.output.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  const int status = TRY(fs::wait_for(running.pid));
  if (status > kDifferent) return Error(Code::io, "diff failed with exit status " + std::to_string(status));
  if (text.starts_with("Binary files ")) text = "binary files " + a.label() + " and " + b.label() + " differ\n";
  return show_paged(world, text);
}

}  // namespace

Result<> cmd_log(World& world, const Arguments& arguments) {
  const EntryArgument entry = TRY(find_entry(arguments.positional()[0]));
  auto source = TRY(HistorySource::open(world, arguments, entry.target, /*writes=*/false));
  const auto versions = TRY(source->log(entry.path));
  if (arguments.has("json")) {
    json rows = json::array();
    for (const VersionInfo& version : versions) rows.push_back(version.json);
    print_json(world, {{"path", fs::path_to_json(entry.path)}, {"versions", rows}});
    return source->close();
  }
  std::string text;
  for (size_t i = 0; i < versions.size(); ++i)
    text += line_of(world, i + 1 < versions.size() ? &versions[i + 1] : nullptr, versions[i]);
  TRY(show_paged(world, text));
  return source->close();
}

Result<> cmd_diff(World& world, const Arguments& arguments) {
  const auto& words = arguments.positional();
  const EntryArgument first = TRY(find_entry(words[0]));
  const EntryArgument second = words.size() > 1 ? TRY(find_entry(words[1])) : first;
  if (second.target.vault_directory != first.target.vault_directory) return Error(Code::usage, "both must be in one vault");
  auto source = TRY(HistorySource::open(world, arguments, first.target, /*writes=*/false));
  const auto old_versions = TRY(source->log(first.path));
  const auto new_versions = words.size() > 1 ? TRY(source->log(second.path)) : old_versions;
  if (old_versions.empty() || new_versions.empty()) return Error(Code::not_found, "there are no versions");
  // Of one path without a version what changed last; else the present is what was not named.
  const std::string old_name = !first.version.empty() || words.size() > 1 ? first.version : "-1";
  if (old_name == "-1" && old_versions.size() < 2) {
    note(world, "there is one version only");
    if (arguments.has("json")) print_json(world, {{"identical", true}});
    return source->close();
  }
  // Each TRY on its own: what was made before one in the same braces would be leaked when it returns.
  const auto old_version = old_name.empty() ? old_versions[0] : TRY(pick_version(old_versions, old_name, now_ms()));
  const bool is_present = words.size() == 1 || second.version.empty();
  const auto new_version = is_present ? new_versions[0] : TRY(pick_version(new_versions, second.version, now_ms()));
  const Side a{first.path, old_version};
  const Side b{second.path, new_version};
  if (arguments.has("json")) {
    const VersionFile old_file = TRY(VersionFile::make(*source, a.path, a.version));
    const VersionFile new_file = TRY(VersionFile::make(*source, b.path, b.version));
    const fs::Subprocess running = TRY(fs::spawn({"cmp", "-s", "--", old_file.path(), new_file.path()}, fs::Capture::standard_output));
    const int status = TRY(fs::wait_for(running.pid));
    print_json(world, {{"old", a.version.json}, {"new", b.version.json}, {"identical", status == 0}});
  } else {
    TRY(compare(world, *source, a, b));
  }
  return source->close();
}

Result<> cmd_restore(World& world, const Arguments& arguments) {
  const EntryArgument entry = TRY(find_entry(arguments.positional()[0]));
  auto source = TRY(HistorySource::open(world, arguments, entry.target, /*writes=*/true));
  json request = {{"rename", true}};
  if (const auto to = arguments.value("to")) {
    const auto target = find_entry(*to);
    request["to"] = fs::path_to_json(target.ok() && target->target.vault_directory == entry.target.vault_directory ? target->path : *to);
  }
  const auto versions = source->log(entry.path);
  if (versions.ok()) {
    if (entry.version.empty())
      return Error(Code::usage, entry.path + " is there; which version of it shall come back?").hint("tain log shows them; tain restore PATH@VERSION");
    const VersionInfo version = TRY(pick_version(*versions, entry.version, now_ms()));
    request.update({{"op", "restore"}, {"path", fs::path_to_json(entry.path)}, {"number", version.number}});
  } else {
    if (!versions.is(Code::not_found)) return versions.error();
    const json item = TRY(find_in_trash(*source, entry));
    request.update({{"op", "trash_restore"}, {"id", item["id"]}});
  }
  const json reply = TRY(source->request(request));
  TRY(source->close());
  return report_restored(world, arguments, entry, reply);
}

Result<> report_restored(World& world, const Arguments& arguments, const EntryArgument& entry, const json& reply) {
  const std::string path = TRY(fs::path_from_json(reply.value("path", json())));
  const uint64_t entries = reply.value("entries", uint64_t{1}), failed = reply.value("failed", uint64_t{0});
  if (arguments.has("json")) {
    print_json(world, {{"path", reply["path"]}, {"entries", entries}, {"failed", failed}});
  } else {
    world.out << "restored " << printable(world, entry.path);
    if (path != entry.path) world.out << " as " << printable(world, path);
    if (entries > 1) world.out << ", " << entries << " entries";
    world.out << '\n';
  }
  if (failed == 0) return {};
  return Error(Code::partial, std::to_string(failed) + " entries could not be restored");
}

}  // namespace tain::cli
