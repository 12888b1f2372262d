// SPDX-License-Identifier: Apache-2.0
// The directories of .tain/: what is listed in them, and where a name leads.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>

#include "base/moment.h"
#include "fs/virtual_node.h"
#include "store/trash.h"

namespace tain::fs {

using store::PastState;

namespace {

constexpr uint64_t kDot = 1;
constexpr uint64_t kDotDot = 2;
constexpr uint64_t kFirst = 16;  // as in the store's directories; the offset of the first name
constexpr int64_t kRecent_ms = 2000;  // the trash is long, and a listing of it is looked up name by name
constexpr int kDaysListed = 7;
constexpr int kMonthsListed = 12;
constexpr int64_t kDay_ms = 86'400'000;
constexpr size_t kExtensionMax = 17;  // with the dot

std::string with_time(const std::string& name, uint64_t hlc) {
  const size_t dot = name.rfind('.');
  const size_t stem = dot == 0 || dot == std::string::npos ? name.size() : dot;
  const std::string time = " (" + moment_name(ms_of_hlc(hlc)) + ")";
  const std::string out = name.substr(0, stem) + time + name.substr(stem);
  return out.size() <= store::kNameMax ? out : time.substr(1) + name.substr(stem).substr(0, 64);
}

/// When an inode was made, as an HLC.
uint64_t began(const store::Inode& inode) {
  return static_cast<uint64_t>(inode.btime.seconds * 1000 + inode.btime.nanoseconds / 1'000'000) << 16;
}

}  // namespace

std::string_view extension_of(std::string_view entry_name) {
  const size_t dot = entry_name.rfind('.');
  const bool has_one = dot != 0 && dot != std::string_view::npos && entry_name.size() - dot <= kExtensionMax;
  return has_one ? entry_name.substr(dot) : std::string_view();
}

Result<std::vector<NamedState>> named_states(store::Vault& vault, Ino ino, std::string_view extension) {
  std::vector<PastState> log = TRY(vault.past().log(ino));
  std::vector<NamedState> out;
  for (size_t i = log.size(); i-- > 0;) {
    PastState& state = log[i];
    NamedState named;
    if (i + 1 < log.size()) {
      named.since = log[i + 1].ended_hlc;
    } else {
      // A damaged one does not say it; its inode's other states do.
      const auto made = std::find_if(log.rbegin(), log.rend(), [&](const PastState& other) {
        return other.inode.ino == state.inode.ino && !other.is_damaged;
      });
      named.since = made == log.rend() ? state.ended_hlc : began(made->inode);
      if (state.ended_hlc != 0) named.since = std::min(named.since, state.ended_hlc);
    }
    // An inode that was replaced may have gone on elsewhere.
    if (!state.is_version && state.ended_hlc != 0) {
      const uint64_t ended = state.ended_hlc;
      if (auto then = vault.past().state_of(state.inode.ino, ended - 1); then.ok()) {
        state = *std::move(then);
      } else if (then.is(Code::corrupt)) {
        state.is_damaged = true;
      }
      state.ended_hlc = ended;
    }
    const std::string mark = state.is_damaged ? " (damaged)" : "";
    named.state = std::move(state);
    const std::string time = moment_name(ms_of_hlc(named.since));
    named.name = time + mark + std::string(extension);
    for (int number = 2; !out.empty() && std::any_of(out.rbegin(), out.rbegin() + std::min<std::ptrdiff_t>(std::ssize(out), 1024),
                                                     [&](const NamedState& other) { return other.name == named.name; });
         ++number)
      named.name = time + "_" + std::to_string(number) + mark + std::string(extension);  // sorts behind the dot of an extension
    out.push_back(std::move(named));
  }
  return out;
}

/// Times that somebody may want to look at, as far as there was a vault.
void VirtualTree::look_at_times(Listing& out) {
  const int64_t now_ms = ms_of_hlc(vault_.hlc_now());
  const int64_t made_ms = owner_.btime.seconds * 1000;
  const auto add = [&](std::string text) {
    const auto moment = parse_moment(text, now_ms);
    if (moment.ok() && moment->ms >= made_ms && moment->ms <= now_ms) out.add({.name = std::move(text), .type = DT_DIR});
  };
  for (const char* text : {"1h-ago", "3h-ago", "yesterday"}) add(text);
  for (int day = 2; day <= kDaysListed; ++day) add(day_name(now_ms - day * kDay_ms));
  int year = 0, month = 0;
  if (std::sscanf(day_name(now_ms).c_str(), "%d-%d", &year, &month) != 2) return;
  for (int i = 0; i < kMonthsListed; ++i) {
    if (--month == 0) --year, month = 12;
    char text[32];
    std::snprintf(text, sizeof text, "%04d-%02d", year, month);
    add(text);
  }
}

/// Changes with the trash, and with other things.
uint64_t VirtualTree::trash_fingerprint() const {
  const store::VaultStats stats = vault_.stats();
  uint64_t out = 0;
  for (uint64_t part : {stats.retired_entries, stats.retired_content_bytes, stats.commits, stats.pending_bytes, stats.entries})
    out = out * 0x9e3779b97f4a7c15ULL + part + 1;
  return out;
}

Result<> VirtualTree::look_at_trash(Listing& out) {
  auto roots = TRY(vault_.trash().roots());
  // The one that was removed last has the name to itself.
  for (auto root = roots.rbegin(); root != roots.rend(); ++root) {
    const store::PastName& past = root->item.name;
    Name name{.name = past.dirent.name, .type = past.dirent.type, .past = past, .hlc = root->before_hlc, .is_volatile = true};
    if (out.by_name.contains(name.name)) name.name = with_time(name.name, past.ended_hlc);
    for (int number = 2; out.by_name.contains(name.name); ++number)
      name.name = with_time(std::to_string(number) + " " + past.dirent.name, past.ended_hlc);
    out.add(std::move(name));
  }
  return {};
}

Result<std::shared_ptr<const VirtualTree::Listing>> VirtualTree::trash_listing(bool is_recent) {
  const uint64_t fingerprint = trash_fingerprint();
  const int64_t now_ms = ms_of_hlc(vault_.hlc_now());
  {
    std::lock_guard lock(mutex_);
    if (trash_ && (trash_fingerprint_ == fingerprint || (is_recent && now_ms - trash_made_ms_ < kRecent_ms))) return trash_;
  }
  auto listing = std::make_shared<Listing>();
  TRY(look_at_trash(*listing));
  std::lock_guard lock(mutex_);
  trash_ = listing;
  trash_fingerprint_ = fingerprint;
  trash_made_ms_ = now_ms;
  return std::shared_ptr<const Listing>(std::move(listing));
}

Result<std::shared_ptr<const VirtualTree::Listing>> VirtualTree::look_at(const Node& directory) {
  auto out = std::make_shared<Listing>();
  const Ino ino{directory.key.of[0]};
  switch (directory.key.kind) {
    case Kind::top:
      for (const char* name : {"status.json", "history", "at", "trash", "conflicts"})
        out->add({.name = name, .type = static_cast<uint8_t>(std::string_view(name) == "status.json" ? DT_REG : DT_DIR)});
      break;
    case Kind::history:
      TRY(vault_.tree().list(ino, Cookie{0}, [&](const store::ListItem& item) {
        out->names.push_back({.name = std::string(item.name), .type = DT_DIR, .child = item.ino});
        return true;
      }));
      break;
    case Kind::entry: {
      auto states = TRY(named_states(vault_, ino, directory.text));
      for (NamedState& named : states) {
        const bool is_present = !named.state.is_version && named.state.ended_hlc == 0;
        const uint8_t type = store::dirent_type(named.state.inode.mode);
        out->add({.name = std::move(named.name),
                  .type = type,
                  .state = std::make_shared<const PastState>(std::move(named.state)),
                  .is_volatile = is_present});
      }
      break;
    }
    case Kind::at: look_at_times(*out); break;
    case Kind::folder:
      for (store::PastName& name : TRY(vault_.past().list(ino, directory.key.of[1]))) {
        std::string text = name.dirent.name;
        const uint8_t type = name.dirent.type;
        out->names.push_back({.name = std::move(text), .type = type, .past = std::move(name)});
      }
      break;
    case Kind::trash: return trash_listing(false);
    case Kind::removed:
    case Kind::conflicts: break;
    case Kind::status:
    case Kind::state: return Error(Code::not_directory, "not a directory");
  }
  return std::shared_ptr<const Listing>(std::move(out));
}

Result<VirtualTree::NodePtr> VirtualTree::resolve(const Node& directory, const Name& name) {
  const Ino here = directory.ino;
  switch (directory.key.kind) {
    case Kind::history: return present(TRY(vault_.tree().getattr(name.child)), name.name, here);
    case Kind::entry: return state_node(*name.state, name.is_volatile, here);
    case Kind::folder: {
      const uint64_t hlc = directory.key.of[1];
      auto state = vault_.past().state(*name.past, hlc);
      // What is in it is known all the same.
      if (state.is(Code::corrupt) && name.type == DT_DIR) return folder_at(name.past->dirent.child, hlc, false, here);
      return past_entry(TRY(std::move(state)), hlc, false, here);
    }
    case Kind::trash:
      if (name.type == DT_DIR) return folder_at(name.past->dirent.child, name.hlc, true, here);
      return state_node(TRY(vault_.past().state(*name.past, name.hlc)), true, here);
    default: return child(TRY(find(here)), name.name);
  }
}

Result<> VirtualTree::list(Ino directory, uint64_t offset, const std::function<bool(const Item&)>& take) {
  const NodePtr node = TRY(find(directory));
  if (!node->is_directory()) return Error(Code::not_directory, "not a directory");
  if (offset < kDot && !take({.name = ".", .ino = directory, .type = DT_DIR, .offset = kDot})) return {};
  if (offset < kDotDot && !take({.name = "..", .ino = node->parent, .type = DT_DIR, .offset = kDotDot})) return {};
  std::shared_ptr<const Listing> listing;
  if (offset != 0) {
    std::lock_guard lock(mutex_);
    listing = node->listing;
  }
  if (!listing) {
    listing = TRY(look_at(*node));
    std::lock_guard lock(mutex_);
    node->listing = listing;
  }
  for (size_t i = offset < kFirst ? 0 : offset - kFirst + 1; i < listing->names.size(); ++i) {
    const Name& name = listing->names[i];
    Item item{.name = name.name, .ino = Ino{kVirtualFirst}, .type = name.type, .offset = kFirst + i};
    auto found = resolve(*node, name);
    if (found.is(Code::not_found)) continue;  // pruned, or gone meanwhile
    if (found.ok()) item.ino = (*found)->ino;
    if (!take(item)) return {};
  }
  std::lock_guard lock(mutex_);
  if (node->listing == listing) node->listing.reset();
  return {};
}

}  // namespace tain::fs
