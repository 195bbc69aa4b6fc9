// Finds the rows whose prompt is the beginning of another row's: Anthropic's HH holds a row for each turn of a
// dialogue.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "dataset/clean/hashes.h"
#include "dataset/clean/spill.h"
#include "dataset/rows/source_conversation.h"

namespace stablelm {

// A row's prompt is its system text and all its turns but the last answer. A row goes when its prompt is a turn prefix
// of the prompt of a longer row, or equal to the prompt of a row of a smaller position. So of a dialogue with a row for
// each of its turns the longest stays, whatever the last answers are; of two longest ones that differ earlier both do.
// Turns are compared byte for byte, roles included. For one thread at a time; past the budget the keys go to a
// temporary file: 32 bytes for each user turn.
class PromptPrefixes {
 public:
  // The turns up to a user turn.
  struct Prompt {
    ContentKey key;
    uint64_t whole = 0;  // 0: a longer row's beginning; 1: all of a row's prompt
  };
  // `conversation` passed OrderRoles (dataset/clean/roles.h). Pure, for any thread.
  static std::vector<Prompt> PromptsOf(const SourceConversation& conversation);

  explicit PromptPrefixes(SpillOptions options) : records_(std::move(options)) {}

  // The prompts of one row. Positions: any numbers, each once.
  void Add(std::span<const Prompt> prompts, uint64_t position);
  // Calls found(position) for each row that goes, each once, in an order that depends on neither the budget nor the
  // order of Add. Once, at the end.
  void Find(FunctionRef<void(uint64_t position)> found);
  uint64_t spilled_bytes() const { return records_.spilled_bytes(); }

 private:
  struct Record {
    ContentKey key;
    uint64_t whole = 0;
    uint64_t position = 0;
    auto operator<=>(const Record&) const = default;
  };
  SortedRecords<Record> records_;
};

}  // namespace stablelm
