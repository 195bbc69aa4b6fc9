// Finds conversations that hold text of evaluation sets.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataset/clean/spill.h"
#include "dataset/clean/words.h"
#include "dataset/rows/source_conversation.h"

namespace stablelm {

struct Overlap {
  enum class Kind : uint8_t {
    kPassage,   // 13 words in a row are those of a text of the set
    kUserText,  // a user turn has the words of a text of the set, no more and no less
  };
  size_t set = 0;   // number of the evaluation set, in the order of AddSet
  size_t turn = 0;  // of the conversation; 0 of a document
  Kind kind = Kind::kPassage;
  bool operator==(const Overlap&) const = default;
};

// Words are those of dataset/clean/words.h: case and punctuation do not count. Runs of 13 words lie within one text of
// the set and within one turn or document. Texts without words are in no set. 16 bytes for each word of the sets,
// beyond the budget in temporary files.
//
// Add all texts, then Seal; from then on Find may be called by many threads.
class EvaluationTexts {
 public:
  static constexpr size_t kRunWords = 13;

  explicit EvaluationTexts(const SpillOptions& options = {});

  // The number of a new set; its texts follow.
  size_t AddSet(std::string name);
  const std::vector<std::string>& names() const { return names_; }
  // A text of the latest set: a question, or a passage.
  void Add(std::string_view text);
  void Seal();
  // The overlap of the first turn that has one: equal user text before passages, the first run of words, and of sets
  // that share it the first. nullopt: none.
  std::optional<Overlap> Find(const SourceConversation& conversation) const;

 private:
  struct Entry {
    uint64_t hash = 0;
    uint32_t set = 0;
    auto operator<=>(const Entry&) const = default;
  };
  // Sorted by Seal, each hash once.
  struct Table {
    SortedRecords<Entry> added;
    SpillVector<Entry> sorted;
    std::span<const Entry> entries;
    void Seal();
  };
  static std::optional<size_t> SetOf(std::span<const Entry> entries, uint64_t hash);
  std::optional<size_t> SetOfRun(std::span<const uint64_t> words) const;

  WordSplitter words_;
  std::vector<std::string> names_;
  Table runs_, texts_;
};

}  // namespace stablelm
