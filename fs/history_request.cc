// SPDX-License-Identifier: Apache-2.0
#include "fs/history_request.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>

#include "fs/purge.h"
#include "fs/restore.h"
#include "fs/restore_folder.h"
#include "fs/retention_request.h"
#include "fs/virtual_tree.h"
#include "store/past.h"
#include "store/retention.h"
#include "store/trash.h"
#include "store/tree.h"

namespace tain::fs {

using nlohmann::json;
namespace {

constexpr size_t kFreeNamesMax = 1000;
constexpr int64_t kKeptMax_s = int64_t{1000} * 366 * 86'400;  // what is kept longer is kept for ever

Result<std::vector<std::string>> split(const std::string& path) {
  std::vector<std::string> out;
  for (size_t start = 0; start < path.size();) {
    const size_t slash = std::min(path.find('/', start), path.size());
    std::string name = path.substr(start, slash - start);
    if (name == "..") return Error(Code::usage, "a path in a vault has no ..");
    if (!name.empty() && name != ".") out.push_back(std::move(name));
    start = slash + 1;
  }
  return out;
}

std::string join(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : "/") + name;
  return out;
}

/// A path of a request with one slash between its names; empty for the root.
Result<std::string> tidy(const json& value) {
  const std::string path = TRY(path_from_json(value));
  return join(TRY(split(path)));
}

/// A name like `place.name` that nobody has.
Result<std::string> free_name(store::Tree& tree, const Place& place) {
  const std::string extension(extension_of(place.name));
  const std::string stem = place.name.substr(0, place.name.size() - extension.size());
  for (size_t number = 1; number < kFreeNamesMax; ++number) {
    const std::string mark = number == 1 ? " (restored)" : " (restored " + std::to_string(number) + ")";
    const size_t room = store::kNameMax - mark.size() - extension.size();
    std::string name = stem.substr(0, room) + mark + extension;
    if (const auto taken = tree.lookup(place.directory, name); taken.is(Code::not_found)) return name;
  }
  return Error(Code::exists, "too many restored ones are there already");
}

std::string_view type_name(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return "directory";
    case S_IFREG: return "file";
    case S_IFLNK: return "symlink";
    default: return "other";
  }
}

uint64_t size_of(const store::Inode& inode) { return inode.is_symlink() ? inode.symlink.size() : inode.content.size; }

/// What is different from the state before; if that is damaged, from the one before that.
json changes(const std::vector<NamedState>& states, size_t index) {
  if (states[index].state.is_damaged) return json::array({"damaged"});
  if (index == 0) return json::array({"made"});
  size_t before = index - 1;
  while (before > 0 && states[before].state.is_damaged) --before;
  if (states[before].state.is_damaged) return json::array({"unknown"});
  const store::Inode &a = states[before].state.inode, &b = states[index].state.inode;
  json out = json::array();
  if (size_of(a) != size_of(b) || a.mtime != b.mtime || a.symlink != b.symlink) out.push_back("content");
  if (a.mode != b.mode) out.push_back("permissions");
  if (a.uid != b.uid || a.gid != b.gid) out.push_back("owner");
  if (a.time_lock != b.time_lock) out.push_back("time lock");
  if (out.empty()) out.push_back("attributes");
  return out;
}

json describe(const std::vector<NamedState>& states, size_t index) {
  const NamedState& named = states[index];
  const store::Inode& inode = named.state.inode;
  const uint64_t ended = named.state.ended_hlc;
  json out = {{"number", index + 1},
              {"name", path_to_json(named.name)},
              {"since_ms", ms_of_hlc(named.since)},
              {"type", type_name(inode.mode)},
              {"changed", changes(states, index)}};
  if (ended != 0) out["until_ms"] = ms_of_hlc(ended);
  if (named.state.is_damaged) {
    out["damaged"] = true;
    return out;
  }
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", inode.mode & 07777);
  out.update({{"mtime", inode.mtime.seconds}, {"mode", mode}, {"uid", inode.uid}, {"gid", inode.gid}, {"size", size_of(inode)}});
  return out;
}

Result<size_t> start_of(const json& request) {
  const json from = request.value("from", json(0));
  if (!from.is_number_integer() || from < 0) return Error(Code::usage, "from is no number");
  return from.get<size_t>();
}

Result<std::vector<NamedState>> states_at(store::Vault& vault, const std::string& path) {
  auto found = find_place(vault.tree(), path);
  if (found.is(Code::not_directory)) return Error(Code::not_found, "what it was in is no directory any more");
  const Place place = TRY(std::move(found));
  const store::Attr attr = TRY(vault.tree().lookup(place.directory, place.name));
  return named_states(vault, attr.ino, extension_of(place.name));
}

/// Of what is in the trash. Its path is not unique, its inode is.
Result<std::vector<NamedState>> states_of_removed(store::Vault& vault, const json& ino) {
  if (!ino.is_number_unsigned()) return Error(Code::usage, "ino is no number");
  auto states = TRY(named_states(vault, Ino{ino.get<uint64_t>()}, ""));
  if (states.empty() || states.back().state.ended_hlc == 0) return Error(Code::not_found, "that is not in the trash");
  return states;
}

/// {"path" or "ino", "from"}: versions from the newest on.
Result<json> answer_log(store::Vault& vault, const json& request) {
  const bool is_removed = request.contains("ino");
  const std::string path = is_removed ? "" : TRY(path_from_json(request.value("path", json())));
  const auto states = is_removed ? TRY(states_of_removed(vault, request["ino"])) : TRY(states_at(vault, path));
  const size_t from = TRY(start_of(request));
  json out = {{"ok", true}, {"versions", json::array()}, {"count", states.size()}};
  for (size_t i = from; i < states.size() && i < from + kReplyItemsMax; ++i)
    out["versions"].push_back(describe(states, states.size() - 1 - i));
  if (from + kReplyItemsMax < states.size()) out["next"] = from + kReplyItemsMax;
  return out;
}

/// A place for `target`, whose name nobody has; `rename`: if need be, one like it.
Result<Place> free_place(store::Vault& vault, const std::string& target, bool rename) {
  Place to = TRY(find_place(vault.tree(), target));
  if (to.directory == kRootIno && to.name == VirtualTree::kName) return Error(Code::exists, "the name belongs to tain");
  if (!vault.tree().lookup(to.directory, to.name).ok()) return to;
  if (!rename) return Error(Code::exists, target + " is taken");
  to.name = TRY(free_name(vault.tree(), to));
  return to;
}

/// Which directory had `path` at `hlc`.
Result<Ino> directory_then(store::Vault& vault, const std::string& path, uint64_t hlc) {
  Ino at = kRootIno;
  for (const std::string& name : TRY(split(path))) {
    const auto entry = TRY(vault.past().lookup(at, name, hlc));
    if (!entry || !entry->state.inode.is_directory()) return Error(Code::not_found, "there was no folder " + path + " then");
    at = entry->state.inode.ino;
  }
  return at;
}

/// {"path", "at_ms", "to", "rename"}: a folder, or the root.
Result<json> answer_restore_folder(store::Vault& vault, const json& request, const Server& server) {
  if (!request["at_ms"].is_number_integer()) return Error(Code::usage, "at_ms is no time");
  const uint64_t now = vault.hlc_now();
  const uint64_t then = std::min(hlc_of_ms(request["at_ms"].get<int64_t>()), now);
  std::string path = TRY(tidy(request.value("path", json())));
  std::optional<Ino> present;
  if (path.empty()) {
    present = kRootIno;
  } else if (const auto place = find_place(vault.tree(), path); place.ok()) {
    const auto attr = vault.tree().lookup(place->directory, place->name);
    if (attr.ok() && S_ISDIR(attr->mode)) present = attr->ino;
  }
  // The folder that is there, whatever it was called then; one that is younger took another's place.
  const auto was_there = [&](Ino ino) {
    const auto attr = vault.tree().getattr(ino);
    return attr.ok() && attr->btime.seconds * 1000 + attr->btime.nanoseconds / 1'000'000 <= ms_of_hlc(then);
  };
  const Ino from = present && was_there(*present) ? *present : TRY(directory_then(vault, path, then));
  FolderRestored done;
  if (request.contains("to")) {
    const std::string target = TRY(path_from_json(request["to"]));
    const Place to = TRY(free_place(vault, target, request.value("rename", false)));
    done = TRY(copy_folder(vault, from, then, to, server));
    std::vector<std::string> names = TRY(split(target));
    names.back() = to.name;
    path = join(names);
  } else if (present) {
    done = TRY(restore_folder(vault, from, then, *present, server));
  } else {
    return Error(Code::not_found, "the folder is not there now").hint("--to says where it shall be");
  }
  TRY(vault.sync());
  return json{{"ok", true},
              {"path", path_to_json(path)},
              {"restored", done.restored},
              {"unchanged", done.unchanged},
              {"removed", done.removed},
              {"left", done.left},
              {"failed", done.failed},
              {"before_ms", ms_of_hlc(now) - 1}};  // what was there then is what was there before this
}

/// {"path", "number", "to", "rename"}.
Result<json> answer_restore(store::Vault& vault, const json& request, const Server& server) {
  const std::string path = TRY(path_from_json(request.value("path", json())));
  const json number = request.value("number", json());
  auto states = TRY(states_at(vault, path));
  if (!number.is_number_integer() || number < 1 || number > states.size()) return Error(Code::usage, "no such version");
  const std::string target = request.contains("to") ? TRY(path_from_json(request["to"])) : path;
  const bool is_elsewhere = request.contains("to");
  const Place to = is_elsewhere ? TRY(free_place(vault, target, request.value("rename", false))) : TRY(find_place(vault.tree(), target));
  TRY(restore_version(vault, states[number.get<size_t>() - 1].state, to, server));
  server.changed(to.directory, to.name);
  std::vector<std::string> names = TRY(split(target));
  names.back() = to.name;
  return json{{"ok", true}, {"path", path_to_json(join(names))}};
}

/// Where directories are, or were.
class Paths {
 public:
  Paths(store::Tree& tree, const std::vector<store::TrashItem>& items) : tree_(tree) {
    for (const store::TrashItem& item : items)
      if (S_ISDIR(item.mode)) removed_.insert_or_assign(raw(item.name.dirent.child), &item.name);
  }
  /// With a slash at its end; what is not known begins with `…/`.
  const std::string& of(Ino directory) {
    if (const auto known = known_.find(raw(directory)); known != known_.end()) return known->second;
    known_[raw(directory)] = "…/";  // for a circle in a damaged vault
    return known_[raw(directory)] = find(directory);
  }

 private:
  std::string find(Ino directory) {
    if (directory == kRootIno) return "";
    if (const auto gone = removed_.find(raw(directory)); gone != removed_.end())
      return of(gone->second->dirent.directory) + gone->second->dirent.name + "/";
    const auto parent = tree_.parent(directory);
    if (!parent.ok()) return "…/";
    std::string name;
    static_cast<void>(tree_.list(*parent, Cookie{0}, [&](const store::ListItem& item) {
      if (item.ino == directory) name = item.name;
      return name.empty();
    }).ok());
    return name.empty() ? "…/" : of(*parent) + name + "/";
  }
  store::Tree& tree_;
  std::map<uint64_t, const store::PastName*> removed_;
  std::map<uint64_t, std::string> known_;
};

std::string id_of(const store::PastName& name) {
  return std::to_string(raw(name.dirent.directory)) + "." + std::to_string(name.ended_hlc);
}

/// {"from"}: what was removed as one, last removed first.
Result<json> answer_trash_list(store::Vault& vault, const json& request) {
  const auto items = TRY(vault.trash().list());
  const auto roots = TRY(vault.trash().roots());
  Paths paths(vault.tree(), items);
  const size_t from = TRY(start_of(request));
  const int64_t kept_s = vault.retention().trash_s;
  json out = {{"ok", true}, {"items", json::array()}, {"count", roots.size()}};
  for (size_t i = from; i < roots.size() && i < from + kReplyItemsMax; ++i) {
    const store::TrashRoot& root = roots[roots.size() - 1 - i];
    const store::PastName& name = root.item.name;
    out["items"].push_back({{"id", id_of(name)},
                            {"path", path_to_json(paths.of(name.dirent.directory) + name.dirent.name)},
                            {"type", type_name(root.item.mode)},
                            {"removed_ms", ms_of_hlc(name.ended_hlc)},
                            {"entries", root.entries},
                            {"size", root.size}});
    if (kept_s <= kKeptMax_s) out["items"].back()["kept_until_ms"] = ms_of_hlc(name.ended_hlc) + kept_s * 1000;
  }
  if (from + kReplyItemsMax < roots.size()) out["next"] = from + kReplyItemsMax;
  return out;
}

/// {"path", "from"}: what had that path, also in a folder that was removed with it, last removed first.
Result<json> answer_removed(store::Vault& vault, const json& request) {
  const std::string path = TRY(tidy(request.value("path", json())));
  const auto items = TRY(vault.trash().list());
  Paths paths(vault.tree(), items);
  std::vector<const store::TrashItem*> found;
  for (auto item = items.rbegin(); item != items.rend(); ++item)
    if (paths.of(item->name.dirent.directory) + item->name.dirent.name == path) found.push_back(&*item);
  const size_t from = TRY(start_of(request));
  json out = {{"ok", true}, {"items", json::array()}, {"count", found.size()}};
  for (size_t i = from; i < found.size() && i < from + kReplyItemsMax; ++i) {
    const store::PastName& name = found[i]->name;
    out["items"].push_back({{"id", id_of(name)},
                            {"path", path_to_json(path)},
                            {"ino", raw(name.dirent.child)},
                            {"type", type_name(found[i]->mode)},
                            {"removed_ms", ms_of_hlc(name.ended_hlc)}});
  }
  if (from + kReplyItemsMax < found.size()) out["next"] = from + kReplyItemsMax;
  return out;
}

/// {"id", "to", "rename"}.
Result<json> answer_trash_restore(store::Vault& vault, const json& request, const Server& server) {
  const json id = request.value("id", json());
  const auto items = TRY(vault.trash().list());
  const auto item = std::find_if(items.begin(), items.end(), [&](const store::TrashItem& one) { return id == id_of(one.name); });
  if (item == items.end()) return Error(Code::not_found, "that is not in the trash any more");
  store::Tree& tree = vault.tree();
  const store::PastName& past = item->name;
  Place to{past.dirent.directory, past.dirent.name};
  if (request.contains("to")) {
    const std::string target = TRY(path_from_json(request["to"]));
    to = TRY(find_place(tree, target));
    if (to.directory == kRootIno && to.name == VirtualTree::kName) return Error(Code::exists, "the name belongs to tain");
  } else if (const auto directory = tree.getattr(to.directory); !directory.ok() || directory->nlink == 0) {
    return Error(Code::not_found, "the folder that it was in is gone").hint("--to says where it shall be");
  }
  if (tree.lookup(to.directory, to.name).ok()) {
    if (!request.value("rename", false)) return Error(Code::exists, "its name is taken");
    to.name = TRY(free_name(tree, to));
  }
  const store::Restored restored = TRY(vault.trash().restore(past, to.directory, to.name));
  server.changed(to.directory, to.name);
  Paths paths(tree, {});
  return json{{"ok", true},
              {"path", path_to_json(paths.of(to.directory) + to.name)},
              {"entries", restored.entries},
              {"failed", restored.failed}};
}

/// {"path"}, or {"id"} of what is in the trash.
Result<json> answer_purge(store::Vault& vault, const json& request, const Server& server) {
  Purged done;
  if (request.contains("id")) {
    const auto items = TRY(vault.trash().list());
    const auto item = std::find_if(items.begin(), items.end(), [&](const store::TrashItem& one) { return request["id"] == id_of(one.name); });
    if (item == items.end()) return Error(Code::not_found, "that is not in the trash any more");
    done = TRY(purge_removed(vault, item->name));
  } else {
    const std::string path = TRY(path_from_json(request.value("path", json())));
    const Place place = TRY(find_place(vault.tree(), path));
    done = TRY(purge_present(vault, place, server));
  }
  return json{{"ok", true}, {"entries", done.entries}, {"failed", done.failed}};
}

/// {"before_ms"}: only what was removed before.
Result<json> answer_trash_empty(store::Vault& vault, const json& request) {
  const json before = request.value("before_ms", json());
  if (!before.is_null() && !before.is_number_integer()) return Error(Code::usage, "before_ms is no time");
  const store::Pruned pruned = TRY(vault.trash().empty(before.is_null() ? UINT64_MAX : hlc_of_ms(before.get<int64_t>())));
  return json{{"ok", true}, {"entries", pruned.entries}, {"failed", pruned.failed}};
}

Result<json> answer(store::Vault& vault, const json& request, const Server& server) {
  const json op = request.value("op", json());
  const bool only_looks = request.value("dry_run", json(false)) == true;
  const bool writes = op != "log" && op != "trash_list" && op != "removed" && !(op == "prune" && only_looks) &&
                      !(op == "retention" && (only_looks || !request.contains("policy")));
  if (writes && vault.read_only()) return Error(Code::read_only, "the vault is open read-only");
  if (op == "log") return answer_log(vault, request);
  if (op == "restore" && request.contains("at_ms")) return answer_restore_folder(vault, request, server);
  if (op == "restore") return answer_restore(vault, request, server);
  if (op == "trash_list") return answer_trash_list(vault, request);
  if (op == "removed") return answer_removed(vault, request);
  if (op == "trash_restore") return answer_trash_restore(vault, request, server);
  if (op == "trash_empty") return answer_trash_empty(vault, request);
  if (op == "purge") return answer_purge(vault, request, server);
  if (op == "prune") return answer_prune(vault, request);
  if (op == "retention") return answer_retention(vault, request);
  return Error(Code::usage, "unknown op");
}

}  // namespace

Result<Place> find_place(store::Tree& tree, const std::string& path) {
  std::vector<std::string> names = TRY(split(path));
  if (names.empty()) return Error(Code::usage, "the vault's root itself cannot be meant");
  Place out{.directory = kRootIno, .name = std::move(names.back())};
  names.pop_back();
  for (const std::string& name : names) {
    const store::Attr attr = TRY(tree.lookup(out.directory, name));
    if (!S_ISDIR(attr.mode)) return Error(Code::not_directory, "not a directory");
    out.directory = attr.ino;
  }
  return out;
}

bool is_history_request(const json& op) {
  static constexpr std::string_view kOps[] = {"log", "restore", "trash_list", "removed", "purge", "trash_restore", "trash_empty", "prune", "retention"};
  return op.is_string() && std::find(std::begin(kOps), std::end(kOps), op.get<std::string>()) != std::end(kOps);
}

json answer_history(store::Vault& vault, const json& request, const Server& server) {
  auto reply = answer(vault, request, server);
  return reply.ok() ? *std::move(reply) : reply_for(reply.error());
}

json path_to_json(const std::string& path) {
  const json text = path;
  const std::string line = text.dump(-1, ' ', false, json::error_handler_t::replace);
  if (json::parse(line) == text) return text;
  return {{"hex", to_hex(as_bytes(path))}};
}

Result<std::string> path_from_json(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("hex") && value["hex"].is_string()) {
    if (const auto bytes = from_hex(value["hex"].get<std::string>())) return std::string(as_text(*bytes));
  }
  return Error(Code::usage, "not a path");
}

}  // namespace tain::fs
