// SPDX-License-Identifier: Apache-2.0
#include "cli/mount_options.h"

#include <algorithm>
#include <array>
#include <span>

#include "cli/arguments.h"
#include "cli/duration.h"
#include "cli/rate.h"

namespace tain::cli {
namespace {

constexpr std::array<std::string_view, 15> kIgnored = {"nosuid", "nodev",  "_netdev", "nofail", "auto",
                                                       "noauto", "user",   "nouser",  "users",  "owner",
                                                       "group",  "defaults", "relatime", "async", "exec"};
constexpr std::array<std::string_view, 4> kIgnoredPrefixes = {"x-", "user=", "comment=", "uhelper="};
constexpr std::array<std::string_view, 5> kPassedOn = {"allow_root", "noatime", "noexec", "acl", "noacl"};

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> out;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (comma != 0) out.emplace_back(list.substr(0, comma));
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return out;
}

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<> add_option(const std::string& option, MountFlags& flags) {
  const auto starts_option = [&](std::string_view prefix) { return option.starts_with(prefix); };
  if (option == "ro") flags.read_only = true;
  else if (option == "rw") flags.read_only = false;
  else if (option == "allow_other") flags.allow_other = true;
  else if (option == "history") flags.history = true;
  else if (option == "nohistory") flags.history = false;
  else if (option == "unconfined") flags.confined = false;
  else if (option == "lock_on_suspend") flags.lock_on_suspend = true;
  else if (option == "lock_on_screen") flags.lock_on_screen = true;
  else if (starts_option("at=")) flags.at = option.substr(3);
  else if (starts_option("idle=")) flags.idle_s = TRY(parse_duration(std::string_view(option).substr(5)));
  else if (starts_option("scrub_rate=")) flags.scrub_rate_bytes_s = TRY(parse_rate(std::string_view(option).substr(11)));
  else if (starts_option("scrub_after=")) flags.scrub_after_s = TRY(parse_duration(std::string_view(option).substr(12)));
  else if (contains(kPassedOn, option)) flags.fuse_options.push_back(option);
  else if (!contains(kIgnored, option) && std::none_of(kIgnoredPrefixes.begin(), kIgnoredPrefixes.end(), starts_option)) {
    return Error(Code::usage, "unknown mount option " + option).hint("tain mount --help lists the options");
  }
  return {};
}

}  // namespace

Result<> add_mount_options(std::string_view list, MountFlags& flags) {
  for (const std::string& option : split_list(list)) TRY(add_option(option, flags));
  return {};
}

Result<std::vector<std::string>> mount_helper_words(const std::vector<std::string>& words) {
  // mount(8): helper spec dir [-sfnv] [-N namespace] [-o options] [-t type.subtype]
  static const std::vector<Option> options = {{"sloppy", 's', "", ""},      {"fake", 'f', "", ""},
                                              {"no-mtab", 'n', "", ""},     {"verbose", 'v', "", ""},
                                              {"namespace", 'N', "NS", ""}, {"type", 't', "TYPE", ""},
                                              {"options", 'o', "OPTIONS", "", true}};
  const Arguments arguments = TRY(Arguments::parse(options, words));
  if (arguments.positional().size() != 2) return Error(Code::usage, "mount.tain needs SOURCE and TARGET");
  std::vector<std::string> out;
  if (arguments.has("fake")) return out;
  std::string passed_on;
  for (const std::string& list : arguments.values("options")) {
    for (const std::string& option : split_list(list)) {
      if (option.starts_with("passfile=")) {
        out.insert(out.end(), {"--passfile", option.substr(9)});
      } else if (option.starts_with("keyfile=")) {
        out.insert(out.end(), {"--keyfile", option.substr(8)});
      } else if (option == "keyring" || option == "tpm2" || option == "fido2") {
        out.push_back("--" + option);
      } else {
        passed_on += (passed_on.empty() ? "" : ",") + option;
      }
    }
  }
  if (!passed_on.empty()) out.insert(out.end(), {"-o", passed_on});
  out.insert(out.end(), {"--", arguments.positional()[0], arguments.positional()[1]});
  return out;
}

}  // namespace tain::cli
