// SPDX-License-Identifier: Apache-2.0
#include "cli/placement.h"

#include <dirent.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <utility>

namespace tain::cli {
namespace {

/// A component of the path that is this, or starts with this and a blank ("OneDrive - Company").
constexpr std::pair<std::string_view, std::string_view> kFolderNames[] = {
    {"Dropbox", "Dropbox"},           {"OneDrive", "OneDrive"},   {"Google Drive", "Google Drive"},
    {"GoogleDrive", "Google Drive"},  {"Nextcloud", "Nextcloud"}, {"ownCloud", "ownCloud"},
    {"iCloudDrive", "iCloud"},        {"iCloud Drive", "iCloud"}, {"Mobile Documents", "iCloud"},
    {"MEGA", "MEGA"},                 {"MEGAsync", "MEGA"},       {"Syncthing", "Syncthing"},
};

/// A file or folder that a client keeps at the top of what it synchronises.
constexpr std::pair<std::string_view, std::string_view> kMarkers[] = {
    {".stfolder", "Syncthing"},          {".dropbox", "Dropbox"},
    {".dropbox.cache", "Dropbox"},       {".owncloudsync.log", "ownCloud"},
    {".nextcloudsync.log", "Nextcloud"}, {".megaignore", "MEGA"},
};

// Not in <linux/magic.h> of every supported system.
constexpr std::pair<unsigned long, std::string_view> kRemoteTypes[] = {
    {0x6969, "NFS"},      {0x517b, "SMB"},      {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"},
    {0x65735546, "FUSE"}, {0x01021997, "9P"},   {0x00c36400, "Ceph"}, {0x5346414f, "AFS"},
    {0x73757245, "Coda"}, {0x0bd00bd0, "Lustre"},
};

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::string_view name_of(const std::string& path) { return std::string_view(path).substr(path.rfind('/') + 1); }

/// The desktop clients of ownCloud and Nextcloud keep a database with a random part in its name.
bool holds_owncloud_database(const std::string& directory) {
  DIR* handle = ::opendir(directory.c_str());
  if (handle == nullptr) return false;
  bool found = false;
  while (const dirent* entry = ::readdir(handle)) {
    const std::string_view name = entry->d_name;
    found = found || ((name.starts_with(".sync_") || name.starts_with("._sync_")) && name.ends_with(".db"));
  }
  ::closedir(handle);
  return found;
}

}  // namespace

std::string sync_client_of(const std::string& path) {
  for (std::string at = path;; at = parent_of(at)) {
    for (const auto& [folder, client] : kFolderNames) {
      const std::string_view name = name_of(at);
      if (name == folder || (name.starts_with(folder) && name.substr(folder.size()).starts_with(' '))) return std::string(client);
    }
    for (const auto& [marker, client] : kMarkers) {
      if (::access((at + "/" + std::string(marker)).c_str(), F_OK) == 0) {
        // Dropbox keeps a .dropbox folder in the home directory too, which it does not synchronise.
        if (marker == ".dropbox" && ::access((at + "/.dropbox/info.json").c_str(), F_OK) == 0) continue;
        return std::string(client);
      }
    }
    if (holds_owncloud_database(at)) return "Nextcloud or ownCloud";
    if (at == "/") return {};
  }
}

std::string remote_file_system_of(const std::string& path) {
  struct statfs st {};
  std::string at = path;
  while (::statfs(at.c_str(), &st) != 0) {
    if (at == "/") return {};
    at = parent_of(at);
  }
  for (const auto& [magic, name] : kRemoteTypes) {
    if (static_cast<unsigned long>(st.f_type) == magic) return std::string(name);
  }
  return {};
}

void warn_about_placement(World& world, const std::string& vault_directory) {
  if (const std::string client = sync_client_of(vault_directory); !client.empty()) {
    warn(world, vault_directory + " lies in a folder of " + client + ", which may copy the vault half-written or replace it",
         "keep the vault outside of synchronised folders");
  }
  if (const std::string type = remote_file_system_of(vault_directory); !type.empty()) {
    warn(world, vault_directory + " lies on a " + type + " file system, where locks and flushes may not hold",
         "keep the vault on a local disk");
  }
}

}  // namespace tain::cli
