#include "dataset/targets.h"

#include <algorithm>

namespace stablelm {

std::vector<TurnParts> TurnsOf(const Prompt& prompt) {
  std::vector<TurnParts> turns;
  for (size_t i = 0; i < prompt.parts.size(); ++i) {
    if (turns.empty() || turns.back().role != prompt.parts[i].role) {
      turns.push_back({.role = prompt.parts[i].role, .begin = i, .end = i});
    }
    turns.back().end = i + 1;
  }
  return turns;
}

std::vector<uint8_t> TargetsOf(const Prompt& prompt, LossRule rule, std::span<const uint8_t> mute) {
  std::vector<uint8_t> targets(prompt.ids.size(), rule == LossRule::kAll ? 1 : 0);
  const auto set = [&](const PromptPart& part, size_t end, uint8_t value) {
    std::fill(targets.begin() + static_cast<ptrdiff_t>(part.begin), targets.begin() + static_cast<ptrdiff_t>(end),
              value);
  };
  const std::vector<TurnParts> turns = TurnsOf(prompt);
  size_t last = turns.size();  // the last answer
  for (size_t t = 0; t < turns.size(); ++t) {
    if (turns[t].role == Role::kAssistant) last = t;
  }
  for (size_t t = 0; t < turns.size(); ++t) {
    if (turns[t].role != Role::kAssistant) continue;
    const bool muted = t < mute.size() && mute[t] != 0;
    if (muted ? rule != LossRule::kAll : rule == LossRule::kLastAssistant && t != last) continue;
    const uint8_t value = muted ? 0 : 1;
    bool closed = false;
    for (size_t i = turns[t].begin; i < turns[t].end; ++i) {
      const PromptPart& part = prompt.parts[i];
      closed |= part.edge == TurnEdge::kCloses;
      if (part.edge != TurnEdge::kOpens || rule == LossRule::kAssistantMarkers) set(part, part.end, value);
    }
    const size_t next = turns[t].end;  // the part that opens the next turn
    if (!closed && next < prompt.parts.size() && prompt.parts[next].kind == PartKind::kControl) {
      set(prompt.parts[next], prompt.parts[next].begin + 1, value);
    }
  }
  if (!targets.empty()) targets[0] = 0;
  return targets;
}

}  // namespace stablelm
