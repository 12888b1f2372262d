// SPDX-License-Identifier: Apache-2.0
#include "cli/findings.h"

namespace tain::cli {
namespace {

using store::Damage;
using store::Part;

const char* part_name(Part part) {
  switch (part) {
    case Part::header: return "header";
    case Part::journal: return "journal";
    case Part::database: return "database";
    case Part::record: return "record";
    case Part::content: return "content";
    case Part::name: return "name";
    case Part::count: return "count";
  }
  return "";
}

const char* damage_name(Damage damage) {
  switch (damage) {
    case Damage::none: return "";
    case Damage::rot: return "rot";
    case Damage::tampering: return "tampering";
    case Damage::checksum_only: return "damaged checksum";
  }
  return "";
}

}  // namespace

void print_finding(World& world, const store::Finding& finding) {
  std::string line = finding.path.empty() ? part_name(finding.part) : printable(world, finding.path);
  line += ": " + printable(world, finding.what);
  if (finding.damage != Damage::none) line += " [" + std::string(damage_name(finding.damage)) + "]";
  world.out << line << '\n';
}

nlohmann::json to_json(const store::Finding& finding) {
  nlohmann::json out = {{"part", part_name(finding.part)}, {"what", finding.what}, {"repairable", finding.repairable}};
  if (!finding.path.empty()) out["path"] = finding.path;
  if (raw(finding.ino) != 0) out["ino"] = raw(finding.ino);
  if (finding.damage != Damage::none) out["diagnosis"] = damage_name(finding.damage);
  if (finding.end != 0) out["range"] = {{"begin", finding.begin}, {"end", finding.end}};
  return out;
}

}  // namespace tain::cli
