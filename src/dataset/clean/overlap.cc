#include "dataset/clean/overlap.h"

#include <algorithm>

#include "base/error.h"

namespace stablelm {
// Of the budget a quarter for each of four arrays.
EvaluationTexts::EvaluationTexts(const SpillOptions& options)
    : runs_{.added = SortedRecords<Entry>(options.Share(4)),
            .sorted = SpillVector<Entry>(options.Share(4)),
            .entries = {}},
      texts_{.added = SortedRecords<Entry>(options.Share(4)),
             .sorted = SpillVector<Entry>(options.Share(4)),
             .entries = {}} {}

size_t EvaluationTexts::AddSet(std::string name) {
  names_.push_back(std::move(name));
  return names_.size() - 1;
}

void EvaluationTexts::Add(std::string_view text) {
  STABLELM_CHECK(!names_.empty());
  const auto set = static_cast<uint32_t>(names_.size() - 1);
  std::vector<uint64_t> hashes;
  words_.AppendHashes(text, hashes);
  if (hashes.empty()) return;
  const std::span<const uint64_t> words = hashes;
  texts_.added.Add({HashOfWords(words), set});
  for (size_t i = 0; i + kRunWords <= words.size(); ++i)
    runs_.added.Add({HashOfWords(words.subspan(i, kRunWords)), set});
}

void EvaluationTexts::Table::Seal() {
  std::optional<uint64_t> last;
  added.ForEach([&](const Entry& entry) {
    if (last != entry.hash) sorted.Append(entry);  // the first set stays
    last = entry.hash;
  });
  entries = sorted.Values();
}

void EvaluationTexts::Seal() {
  runs_.Seal();
  texts_.Seal();
}

std::optional<size_t> EvaluationTexts::SetOf(std::span<const Entry> entries, uint64_t hash) {
  const auto at = std::lower_bound(entries.begin(), entries.end(), Entry{hash, 0});
  return at != entries.end() && at->hash == hash ? std::optional<size_t>(at->set) : std::nullopt;
}

std::optional<size_t> EvaluationTexts::SetOfRun(std::span<const uint64_t> words) const {
  for (size_t i = 0; i + kRunWords <= words.size(); ++i) {
    if (const auto set = SetOf(runs_.entries, HashOfWords(words.subspan(i, kRunWords)))) return set;
  }
  return std::nullopt;
}

std::optional<Overlap> EvaluationTexts::Find(const SourceConversation& conversation) const {
  if (texts_.entries.empty()) return std::nullopt;
  std::vector<uint64_t> hashes;
  if (conversation.document) {
    words_.AppendHashes(*conversation.document, hashes);
    if (const auto set = SetOfRun(hashes)) return Overlap{*set, 0, Overlap::Kind::kPassage};
  }
  for (size_t turn = 0; turn < conversation.turns.size(); ++turn) {
    hashes.clear();
    words_.AppendHashes(conversation.turns[turn].text, hashes);
    const std::span<const uint64_t> words = hashes;
    if (conversation.turns[turn].role == Role::kUser && !words.empty()) {
      if (const auto set = SetOf(texts_.entries, HashOfWords(words)))
        return Overlap{*set, turn, Overlap::Kind::kUserText};
    }
    if (const auto set = SetOfRun(words)) return Overlap{*set, turn, Overlap::Kind::kPassage};
  }
  return std::nullopt;
}

}  // namespace stablelm
