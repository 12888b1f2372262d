// SPDX-License-Identifier: Apache-2.0
#include "fs/compact_request.h"

namespace tain::fs {

using nlohmann::json;

json answer_compact(store::Vault& vault, const json& request) {
  const json from = request.value("from", json(0));
  if (!from.is_number_unsigned() && from != 0) return reply_for(Error(Code::usage, "from is no page"));
  const auto step = vault.compact(from.get<uint64_t>());
  if (!step.ok()) return reply_for(step.error());
  json reply = {{"ok", true}, {"last_page", step->last_page}, {"returned_bytes", step->returned_bytes}};
  if (step->next != 0) reply["next"] = step->next;
  return reply;
}

Result<store::CompactStep> compact_step_in(const json& reply) {
  const auto number = [&](const char* member, bool& found) -> uint64_t {
    const auto value = reply.find(member);
    found = value != reply.end() && value->is_number_unsigned();
    return found ? value->get<uint64_t>() : 0;
  };
  bool has_next = false, has_last = false, has_returned = false;
  const store::CompactStep step{.next = number("next", has_next),
                                .last_page = number("last_page", has_last),
                                .returned_bytes = number("returned_bytes", has_returned)};
  if (!has_last || !has_returned) return Error(Code::io, "the process serving the mount answered something else");
  return step;
}

}  // namespace tain::fs
