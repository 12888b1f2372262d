// SPDX-License-Identifier: Apache-2.0
// Devices in memory that edit one tree and exchange versions: the pure part of sync without store and remote.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "sync/namespace_rules.h"

namespace tain::test {

using sync::kRootEntry;
using sync::Link;

struct Registers {
  uint8_t type = 0;
  sync::Heads<sync::Location> location;
  sync::Heads<sync::Content> content;
  sync::Heads<sync::Attributes> attributes;
  bool operator==(const Registers&) const = default;
};

/// What a device publishes at once, with what it comes after: of each device so many segments.
struct Segment {
  std::map<uint64_t, size_t> vector;
  std::vector<sync::EntryRecord> records;
};

/// A content that was written but not captured yet: what arrives meanwhile is not replaced by it.
struct OpenWrite {
  EntryId entry;
  sync::Basis basis;
  std::string text;
};

class FleetDevice : public sync::NamespaceView {
 public:
  FleetDevice(uint64_t number, uint64_t clock) : number_(number), clock_(clock) {}

  // What a person does. Names must be free, where one is made.
  EntryId make_directory(EntryId directory, const std::string& name);
  EntryId make_file(EntryId directory, const std::string& name, const std::string& text);
  void write(EntryId entry, const std::string& text);
  OpenWrite begin_write(EntryId entry, const std::string& text) const;
  void capture(const OpenWrite& open);
  void resolve(EntryId entry);
  void move(EntryId entry, const Link& from, const Link& to);
  void link(EntryId entry, const Link& to);
  void unlink(EntryId entry, const Link& from);
  void remove(EntryId entry);  // with all names, whatever is in it
  void change_mode(EntryId entry, uint32_t mode);
  void set_clock(uint64_t hlc) { clock_ = hlc; }

  // What the engine does.
  bool can_apply(const FleetDevice& from) const;
  /// The next segment of `from`.
  void apply(const FleetDevice& from);
  /// Publishes the repairs of what was applied or edited since the last time; false if there are none.
  bool repair();

  // What it has.
  const std::map<EntryId, Registers>& entries() const { return entries_; }
  const std::vector<Segment>& segments() const { return segments_; }
  uint64_t number() const { return number_; }
  std::vector<Link> links(EntryId entry) const;  // none: removed, or unknown
  bool is_directory(EntryId entry) const;
  EntryId at(const Link& link) const;            // kRootEntry: nothing is there
  bool is_below(EntryId entry, EntryId directory) const;
  std::string text(EntryId entry) const;
  /// Every path, ascending; files with "=" and their text, directories with "/". Stops where it is no tree.
  std::vector<std::string> tree() const;

  /// Of each removal that a person made here: the heads of content that were there.
  std::map<Dot, std::vector<sync::Version<sync::Content>>> known_to_removals;

  // NamespaceView
  Result<std::optional<sync::EntryState>> find(const EntryId& entry) const override;
  Result<std::vector<EntryId>> holders(const Link& link) const override;
  Result<std::vector<EntryId>> children(const EntryId& directory) const override;
  std::string device_label(uint64_t writer) const override { return "d" + std::to_string(writer); }

 private:
  template <class Value>
  sync::Version<Value> version(const sync::Heads<Value>& heads, sync::Replaces replaces, Value value);
  void edit_location(EntryId entry, sync::Location location);
  void publish(std::vector<sync::EntryRecord> records);
  void insert(const sync::EntryRecord& record);
  void list(EntryId directory, const std::string& path, std::vector<std::string>& out) const;
  EntryId new_entry();

  uint64_t number_;
  uint64_t clock_;
  uint64_t counter_ = 0;
  std::map<EntryId, Registers> entries_;
  std::map<Link, std::set<EntryId>> names_;
  std::map<uint64_t, size_t> vector_;
  std::vector<Segment> segments_;
  std::set<EntryId> touched_;
};

/// A few of them. They are numbered from 1, as writers.
class Fleet {
 public:
  explicit Fleet(size_t devices);
  FleetDevice& operator[](size_t i) { return devices_[i]; }
  std::vector<FleetDevice>& devices() { return devices_; }
  /// Until all have everything and nothing is left to repair. False if that does not end.
  bool exchange();

 private:
  std::vector<FleetDevice> devices_;
};

sync::Content text_content(std::string_view text);

}  // namespace tain::test
