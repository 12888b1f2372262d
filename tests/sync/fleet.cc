// SPDX-License-Identifier: Apache-2.0
#include "tests/sync/fleet.h"

#include <dirent.h>

#include <algorithm>

#include "base/check.h"

namespace tain::test {

using namespace sync;

namespace {

constexpr uint64_t kBegin = uint64_t{1'795'953'600'000} << 16;  // 2026-11-29
constexpr size_t kDepthMax = 100;
constexpr size_t kRoundsMax = 50;

}  // namespace

Content text_content(std::string_view text) {
  const ByteView view = as_bytes(text);
  return FileContent{.size = view.size(), .data = Bytes(view.begin(), view.end())};
}

// ---- Edits ----

EntryId FleetDevice::new_entry() {
  EntryId out;
  out.bytes[0] = 1;
  out.bytes[1] = static_cast<uint8_t>(number_);
  for (size_t i = 0; i < 4; ++i) out.bytes[2 + i] = static_cast<uint8_t>((counter_ + 1) >> (24 - 8 * i));
  return out;
}

template <class Value>
Version<Value> FleetDevice::version(const Heads<Value>& heads, Replaces replaces, Value value) {
  const auto basis = heads.basis(replaces);
  CHECK(basis.has_value());  // a fleet is smaller than kParentsMax
  return {.dot = {number_, ++counter_},
          .hlc = std::max(clock_ += kHlcTick, basis->hlc_min),
          .parents = basis->parents,
          .value = std::move(value)};
}

EntryId FleetDevice::make_directory(EntryId directory, const std::string& name) {
  const EntryId entry = new_entry();
  publish({{.entry = entry,
            .type = DT_DIR,
            .location = version<Location>({}, Replaces::all, {.links = {{directory, name}}}),
            .attributes = version<Attributes>({}, Replaces::all, {.mode = 0700})}});
  return entry;
}

EntryId FleetDevice::make_file(EntryId directory, const std::string& name, const std::string& text) {
  const EntryId entry = new_entry();
  publish({{.entry = entry,
            .type = DT_REG,
            .location = version<Location>({}, Replaces::all, {.links = {{directory, name}}}),
            .content = version<Content>({}, Replaces::winner, text_content(text)),
            .attributes = version<Attributes>({}, Replaces::all, {.mode = 0600})}});
  return entry;
}

void FleetDevice::write(EntryId entry, const std::string& text) { capture(begin_write(entry, text)); }

OpenWrite FleetDevice::begin_write(EntryId entry, const std::string& text) const {
  return {.entry = entry, .basis = *entries_.at(entry).content.basis(Replaces::winner), .text = text};
}

void FleetDevice::capture(const OpenWrite& open) {
  publish({{.entry = open.entry,
            .type = DT_REG,
            .content = Version<Content>{.dot = {number_, ++counter_},
                                        .hlc = std::max(clock_ += kHlcTick, open.basis.hlc_min),
                                        .parents = open.basis.parents,
                                        .value = text_content(open.text)}}});
}

void FleetDevice::resolve(EntryId entry) {
  const auto& heads = entries_.at(entry).content;
  publish({{.entry = entry, .type = DT_REG, .content = version(heads, Replaces::all, heads.winner().value)}});
}

void FleetDevice::edit_location(EntryId entry, Location location) {
  const Registers& registers = entries_.at(entry);
  publish({{.entry = entry,
            .type = registers.type,
            .location = version(registers.location, Replaces::all, std::move(location))}});
}

void FleetDevice::move(EntryId entry, const Link& from, const Link& to) {
  std::set<Link> links;
  for (const Link& link : this->links(entry)) links.insert(link == from ? to : link);
  edit_location(entry, {.links = std::vector(links.begin(), links.end()), .taken = {from}});
}

void FleetDevice::link(EntryId entry, const Link& to) {
  std::set<Link> links{to};
  for (const Link& link : this->links(entry)) links.insert(link);
  edit_location(entry, {.links = std::vector(links.begin(), links.end())});
}

void FleetDevice::unlink(EntryId entry, const Link& from) {
  std::vector<Link> links = this->links(entry);
  if (links.size() == 1) return remove(entry);
  std::erase(links, from);
  edit_location(entry, {.links = links});
}

void FleetDevice::remove(EntryId entry) {
  const Registers& registers = entries_.at(entry);
  const auto state = state_of(registers.type, registers.location, registers.content, registers.attributes);
  known_to_removals[{number_, counter_ + 1}].assign(registers.content.all().begin(), registers.content.all().end());
  edit_location(entry, {.taken = links(entry), .seen = seen_edits(state)});
}

void FleetDevice::change_mode(EntryId entry, uint32_t mode) {
  const Registers& registers = entries_.at(entry);
  publish({{.entry = entry,
            .type = registers.type,
            .attributes = version(registers.attributes, Replaces::all, Attributes{.mode = mode})}});
}

// ---- Exchange ----

void FleetDevice::publish(std::vector<EntryRecord> records) {
  for (const EntryRecord& record : records) insert(record);
  segments_.push_back({.vector = vector_, .records = std::move(records)});
  ++vector_[number_];
}

bool FleetDevice::can_apply(const FleetDevice& from) const {
  const auto at = vector_.find(from.number_);
  const size_t next = at == vector_.end() ? 0 : at->second;
  if (next >= from.segments_.size()) return false;
  return std::ranges::all_of(from.segments_[next].vector, [&](const auto& need) {
    const auto have = vector_.find(need.first);
    return need.second <= (have == vector_.end() ? 0 : have->second);
  });
}

void FleetDevice::apply(const FleetDevice& from) {
  for (const EntryRecord& record : from.segments_[vector_[from.number_]++].records) insert(record);
}

void FleetDevice::insert(const EntryRecord& record) {
  Registers& registers = entries_[record.entry];
  registers.type = record.type;
  if (record.location.has_value()) {
    for (const Link& link : links(record.entry)) names_[link].erase(record.entry);
    registers.location.insert(*record.location);
    for (const Link& link : links(record.entry)) names_[link].insert(record.entry);
  }
  if (record.content.has_value()) registers.content.insert(*record.content);
  if (record.attributes.has_value()) registers.attributes.insert(*record.attributes);
  touched_.insert(record.entry);
}

bool FleetDevice::repair() {
  const auto repairs = find_repairs(*this, std::vector(touched_.begin(), touched_.end()));
  CHECK(repairs.ok());
  touched_.clear();
  std::vector<EntryRecord> records;
  for (const Repair& repair : *repairs) {
    const Registers& registers = entries_.at(repair.entry);
    const auto basis = registers.location.basis(Replaces::all);
    CHECK(basis.has_value());
    records.push_back({.entry = repair.entry,
                       .type = registers.type,
                       .location = Version<Location>{.dot = {number_, ++counter_},
                                                     .hlc = repair.hlc,
                                                     .parents = basis->parents,
                                                     .value = repair.location}});
  }
  if (records.empty()) return false;
  publish(std::move(records));
  return true;
}

// ---- Looking ----

std::vector<Link> FleetDevice::links(EntryId entry) const {
  const auto at = entries_.find(entry);
  return at == entries_.end() || at->second.location.empty() ? std::vector<Link>()
                                                             : at->second.location.winner().value.links;
}

bool FleetDevice::is_directory(EntryId entry) const {
  const auto at = entries_.find(entry);
  return entry == kRootEntry || (at != entries_.end() && at->second.type == DT_DIR);
}

EntryId FleetDevice::at(const Link& link) const {
  const auto at = names_.find(link);
  return at == names_.end() || at->second.empty() ? kRootEntry : *at->second.begin();
}

bool FleetDevice::is_below(EntryId entry, EntryId directory) const {
  for (size_t depth = 0; depth < kDepthMax; ++depth) {
    if (entry == directory) return true;
    const std::vector<Link> up = links(entry);
    if (up.empty()) return false;
    entry = up[0].directory;
  }
  return false;
}

std::string FleetDevice::text(EntryId entry) const {
  const auto& content = entries_.at(entry).content;
  return std::string(as_text(std::get<Bytes>(std::get<FileContent>(content.winner().value).data)));
}

std::vector<std::string> FleetDevice::tree() const {
  std::vector<std::string> out;
  list(kRootEntry, "", out);
  return out;
}

void FleetDevice::list(EntryId directory, const std::string& path, std::vector<std::string>& out) const {
  if (std::ranges::count(path, '/') > static_cast<std::ptrdiff_t>(kDepthMax)) return;
  for (auto at = names_.lower_bound({directory, ""}); at != names_.end() && at->first.directory == directory; ++at) {
    for (const EntryId& entry : at->second) {
      const std::string here = path + at->first.name;
      out.push_back(is_directory(entry) ? here + "/" : here + "=" + text(entry));
      if (is_directory(entry)) list(entry, here + "/", out);
    }
  }
}

Result<std::optional<EntryState>> FleetDevice::find(const EntryId& entry) const {
  CHECK(entry != kRootEntry);
  const auto at = entries_.find(entry);
  if (at == entries_.end()) return std::optional<EntryState>();
  const Registers& registers = at->second;
  return std::optional(state_of(registers.type, registers.location, registers.content, registers.attributes));
}

Result<std::vector<EntryId>> FleetDevice::holders(const Link& link) const {
  const auto at = names_.find(link);
  return at == names_.end() ? std::vector<EntryId>() : std::vector(at->second.begin(), at->second.end());
}

Result<std::vector<EntryId>> FleetDevice::children(const EntryId& directory) const {
  std::vector<EntryId> out;
  for (auto at = names_.lower_bound({directory, ""}); at != names_.end() && at->first.directory == directory; ++at)
    out.insert(out.end(), at->second.begin(), at->second.end());
  return out;
}

// ---- All of them ----

Fleet::Fleet(size_t devices) {
  for (size_t i = 0; i < devices; ++i) devices_.emplace_back(i + 1, kBegin + i);
}

bool Fleet::exchange() {
  for (size_t round = 0; round < kRoundsMax; ++round) {
    bool is_quiet = true;
    for (FleetDevice& to : devices_) {
      for (const FleetDevice& from : devices_)
        while (&from != &to && to.can_apply(from)) to.apply(from), is_quiet = false;
      if (to.repair()) is_quiet = false;
    }
    if (is_quiet) return true;
  }
  return false;
}

}  // namespace tain::test
