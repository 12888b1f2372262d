// SPDX-License-Identifier: Apache-2.0
// tain log, diff and restore: how an entry was.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/file.h"
#include "base/moment.h"
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

std::string lines_of(const World& world, const std::vector<VersionInfo>& versions) {
  std::string text;
  for (size_t i = 0; i < versions.size(); ++i)
    text += line_of(world, i + 1 < versions.size() ? &versions[i + 1] : nullptr, versions[i]);
  return text;
}

/// What was removed, and what brings it back: of several with one path the time says which one.
std::string removed_text(const World& world, const std::string& path, const RemovedEntry& entry, bool is_last) {
  const std::string when = is_last ? "" : "@" + moment_name(entry.removed_ms);
  return printable(world, path) + ": in the trash, since " + human_time(entry.removed_ms) + "; tain trash restore PATH" + when + " brings it back\n" +
         lines_of(world, entry.versions);
}

/// Plaintext of a version in memory, as a file that another program can open.
class VersionFile {
 public:
  static Result<VersionFile> make(HistorySource& source, const Entry& entry, const VersionInfo& version) {
    UniqueFd fd(::memfd_create("tain", 0));  // inherited by diff
    if (!fd.valid()) return errno_error(errno, "make a file in memory");
    TRY(source.read(entry, version, [&fd](ByteView bytes) -> Result<> {
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
  const Entry& entry;
  VersionInfo version;
  std::string label() const { return entry.path + "\t" + human_time(version.since_ms) + " (version " + std::to_string(version.number) + ")"; }
};

Result<> compare(World& world, HistorySource& source, const Side& a, const Side& b) {
  const VersionFile old_file = TRY(VersionFile::make(source, a.entry, a.version));
  const VersionFile new_file = TRY(VersionFile::make(source, b.entry, b.version));
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
  const EntryArgument argument = TRY(find_entry(arguments.positional()[0]));
  auto source = TRY(HistorySource::open(world, arguments, argument.target, /*writes=*/false));
  const Entry entry = TRY(source->find(argument.path, now_ms()));
  std::vector<RemovedEntry> removed;
  if (arguments.has("removed") || entry.removed) removed = TRY(source->removed(entry.path));
  // Of several that had the path a time means one.
  if (entry.removed && !entry.version.empty()) std::erase_if(removed, [&](const RemovedEntry& one) { return one.ino != entry.removed->ino; });
  if (arguments.has("json")) {
    const auto rows = [](const std::vector<VersionInfo>& versions) {
      json out = json::array();
      for (const VersionInfo& version : versions) out.push_back(version.json);
      return out;
    };
    json out = {{"path", fs::path_to_json(entry.path)}, {"versions", entry.removed ? json::array() : rows(entry.versions)}};
    for (const RemovedEntry& one : removed) {
      out["removed"].push_back(one.json);
      out["removed"].back()["versions"] = rows(one.versions);
    }
    print_json(world, out);
    return source->close();
  }
  std::string text;
  if (!entry.removed) text = lines_of(world, entry.versions);
  for (const RemovedEntry& one : removed) text += removed_text(world, entry.path, one, &one == &removed.front() && entry.removed && entry.version.empty());
  TRY(show_paged(world, text));
  return source->close();
}

Result<> cmd_diff(World& world, const Arguments& arguments) {
  const auto& words = arguments.positional();
  const EntryArgument argument = TRY(find_entry(words[0]));
  const EntryArgument other = words.size() > 1 ? TRY(find_entry(words[1])) : argument;
  if (other.target.vault_directory != argument.target.vault_directory) return Error(Code::usage, "both must be in one vault");
  auto source = TRY(HistorySource::open(world, arguments, argument.target, /*writes=*/false));
  const Entry first = TRY(source->find(argument.path, now_ms()));
  const Entry second = words.size() > 1 ? TRY(source->find(other.path, now_ms())) : first;
  if (first.versions.empty() || second.versions.empty()) return Error(Code::not_found, "there are no versions");
  const bool is_last_change = words.size() == 1 && first.version.empty();
  if (is_last_change && first.versions.size() < 2) {
    note(world, "there is one version only");
    if (arguments.has("json")) print_json(world, {{"identical", true}});
    return source->close();
  }
  // Each TRY on its own: what was made before one in the same braces would be leaked when it returns.
  const auto old_version = is_last_change ? first.versions[1] : TRY(first.pick(first.version, now_ms()));
  const auto new_version = TRY(second.pick(words.size() == 1 ? "" : second.version, now_ms()));
  const Side a{first, old_version};
  const Side b{second, new_version};
  if (arguments.has("json")) {
    const VersionFile old_file = TRY(VersionFile::make(*source, a.entry, a.version));
    const VersionFile new_file = TRY(VersionFile::make(*source, b.entry, b.version));
    const fs::Subprocess running = TRY(fs::spawn({"cmp", "-s", "--", old_file.path(), new_file.path()}, fs::Capture::standard_output));
    const int status = TRY(fs::wait_for(running.pid));
    print_json(world, {{"old", a.version.json}, {"new", b.version.json}, {"identical", status == 0}});
  } else {
    TRY(compare(world, *source, a, b));
  }
  return source->close();
}

namespace {

/// Which of the numbers in the reply are not nothing, in words.
std::string counts_text(const json& reply) {
  std::string out;
  const auto add = [&](const char* member, const char* text) {
    const auto number = reply.value(member, uint64_t{0});
    if (number != 0) out += (out.empty() ? "" : ", ") + std::to_string(number) + text;
  };
  add("restored", " restored");
  add("removed", " put into the trash");
  add("unchanged", " unchanged");
  add("left", " left, too new for the trash or an editor's");
  return out.empty() ? "nothing was in it" : out;
}

/// A folder, or the whole vault, as it was at a time.
Result<> restore_folder(World& world, const Arguments& arguments, HistorySource& source, const Entry& entry, json request) {
  if (is_number(entry.version)) return Error(Code::usage, "a folder has no versions with numbers").hint("tain restore FOLDER@TIME");
  const int64_t at_ms = TRY(parse_moment(entry.version, now_ms())).ms;
  if (entry.removed && !request.contains("to")) {
    const json back = TRY(source.request({{"op", "trash_restore"}, {"id", entry.removed->json["id"]}, {"rename", true}}));
    request["path"] = back["path"];
  } else {
    request["path"] = fs::path_to_json(entry.path);
  }
  request.update({{"op", "restore"}, {"at_ms", at_ms}});
  const json reply = TRY(source.request(request));
  TRY(source.close());
  const std::string path = TRY(fs::path_from_json(reply.value("path", json())));
  const int64_t before_ms = reply.value("before_ms", int64_t{0});
  const uint64_t failed = reply.value("failed", uint64_t{0});
  if (arguments.has("json")) {
    json out = reply;
    out.erase("ok");
    out["at_ms"] = at_ms;
    print_json(world, out);
  } else {
    const auto shown = [&](const std::string& name) { return name.empty() ? "the vault" : printable(world, name); };
    world.out << "restored " << shown(entry.path) << (path == entry.path ? "" : " as " + shown(path)) << ", as it was at " << human_time(at_ms) << ": "
              << counts_text(reply) << '\n';
    if (!request.contains("to")) note(world, "to undo it: tain restore PATH@" + moment_name(before_ms));
  }
  if (failed == 0) return {};
  return Error(Code::partial, std::to_string(failed) + " entries could not be restored").hint("they are damaged, time-locked, or too old; the others are done");
}

}  // namespace

Result<> cmd_restore(World& world, const Arguments& arguments) {
  const EntryArgument argument = TRY(find_entry(arguments.positional()[0]));
  auto source = TRY(HistorySource::open(world, arguments, argument.target, /*writes=*/true));
  const Entry entry = TRY(source->find(argument.path, now_ms(), /*or_root=*/true));
  json request = {{"rename", true}};
  if (const auto to = arguments.value("to")) request["to"] = fs::path_to_json(path_to(*to, argument.target));
  if (!entry.removed && entry.version.empty())
    return Error(Code::usage, entry.path + " is there; which version of it shall come back?").hint("tain log shows them; tain restore PATH@VERSION");
  const bool is_folder = entry.path.empty() || (!entry.versions.empty() && entry.versions[0].type == "directory");
  if (is_folder && !entry.version.empty()) return restore_folder(world, arguments, *source, entry, std::move(request));
  const VersionInfo version = TRY(entry.pick(entry.version, now_ms()));
  json reply;
  if (entry.removed) {
    request.update({{"op", "trash_restore"}, {"id", entry.removed->json["id"]}});
    reply = TRY(source->request(request));
  }
  // What comes out of the trash has its history again, and an older version of it becomes the newest one there.
  if (!entry.removed || version.number != entry.versions[0].number) {
    const json path = entry.removed ? reply["path"] : fs::path_to_json(entry.path);
    if (entry.removed) request.erase("to");
    request.update({{"op", "restore"}, {"path", path}, {"number", version.number}});
    reply = TRY(source->request(request));
  }
  TRY(source->close());
  return report_restored(world, arguments, entry.path, reply);
}

Result<> report_restored(World& world, const Arguments& arguments, const std::string& before, const json& reply) {
  const std::string path = TRY(fs::path_from_json(reply.value("path", json())));
  const uint64_t entries = reply.value("entries", uint64_t{1}), failed = reply.value("failed", uint64_t{0});
  if (arguments.has("json")) {
    print_json(world, {{"path", reply["path"]}, {"entries", entries}, {"failed", failed}});
  } else {
    world.out << "restored " << printable(world, before);
    if (path != before) world.out << " as " << printable(world, path);
    if (entries > 1) world.out << ", " << entries << " entries";
    world.out << '\n';
  }
  if (failed == 0) return {};
  return Error(Code::partial, std::to_string(failed) + " entries could not be restored");
}

}  // namespace tain::cli
