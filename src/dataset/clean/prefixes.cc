#include "dataset/clean/prefixes.h"

#include <cstring>
#include <optional>
#include <string>

namespace stablelm {
namespace {

// The key of the turns before, one more turn behind them.
ContentKey Extended(const ContentKey& before, char kind, std::string_view text, std::string& buffer) {
  buffer.resize(sizeof before);
  std::memcpy(buffer.data(), &before, sizeof before);
  buffer += kind;
  buffer += text;
  return Hash128(buffer);
}

}  // namespace

std::vector<PromptPrefixes::Prompt> PromptPrefixes::PromptsOf(const SourceConversation& conversation) {
  std::vector<Prompt> prompts;
  ContentKey key;
  std::string buffer;
  if (conversation.system) key = Extended(key, 's', *conversation.system, buffer);
  for (size_t i = 0; i + 1 < conversation.turns.size(); ++i) {
    const SourceTurn& turn = conversation.turns[i];
    key = Extended(key, turn.role == Role::kUser ? 'u' : 'a', turn.text, buffer);
    if (turn.role != Role::kUser) continue;
    prompts.push_back({key, i + 2 == conversation.turns.size() ? uint64_t{1} : uint64_t{0}});
  }
  return prompts;
}

void PromptPrefixes::Add(std::span<const Prompt> prompts, uint64_t position) {
  for (const Prompt& prompt : prompts) records_.Add({prompt.key, prompt.whole, position});
}

void PromptPrefixes::Find(FunctionRef<void(uint64_t position)> found) {
  std::optional<ContentKey> kept;  // prompt that a longer row, or an earlier one, has
  records_.ForEach([&](const Record& record) {
    if (kept != record.key) {
      kept = record.key;
    } else if (record.whole == 1) {
      found(record.position);
    }
  });
}

}  // namespace stablelm
