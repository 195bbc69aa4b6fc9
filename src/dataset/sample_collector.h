// Collects what the sources give: counts, samples, and which conversations go because of others.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "dataset/clean/exact_duplicates.h"
#include "dataset/clean/near_duplicates.h"
#include "dataset/clean/prefixes.h"
#include "dataset/clean/spill.h"
#include "dataset/recipe.h"
#include "dataset/sample_spool.h"
#include "dataset/source_account.h"
#include "dataset/source_pass.h"

namespace stablelm {

// A conversation that gave samples [first, first + count) of the spool.
struct CollectedConversation {
  uint32_t source = 0, file = 0;
  uint64_t row = 0, line = 0;
  uint32_t first = 0, count = 0;
  uint64_t split_hash = 0;   // PassedConversation
  uint64_t weight_hash = 0;  // of its place: which conversations a fractional weight takes
  uint32_t control_spellings = 0, open_answers = 0;
  uint32_t checked = 0, changed = 0;  // its texts were compared with those of its ids, and differ
  TokenAccount tokens;
};

// Sources one after the other, then Finish. For one thread. Memory is bounded but for the accounts.
class SampleCollector : public PassSink {
 public:
  // `spill.memory_bytes`: for all together.
  SampleCollector(const DataRecipe& recipe, const SpillOptions& spill, size_t id_bytes);

  // `kind`: the one in force.
  void BeginSource(const SourceRecipe& source, SourceAccount account);
  void BeginFile(uint32_t file, const std::string& format) override;
  void Take(PassedRow& row) override;
  void DropFile(uint32_t file, const std::string& why) override;

  // Finds duplicates, completes the accounts, and calls kept(conversation) for each that stays, in order. Once.
  void Finish(FunctionRef<void(const CollectedConversation&)> kept);

  uint64_t spilled_bytes() const { return spilled_; }  // of keys and numbers, after Finish

  SampleSpool& spool() { return spool_; }
  std::vector<SourceAccount>& accounts() { return accounts_; }

 private:
  void Collect(PassedRow& row, size_t number, uint32_t& piece);
  ScratchArray<uint8_t> DropDuplicates();
  void Count(const CollectedConversation& one, std::span<const SampleSpool::Record> samples);

  const DataRecipe& recipe_;
  SpillOptions part_;  // of each of the arrays
  SampleSpool spool_;
  SpillVector<CollectedConversation> conversations_;
  ExactDuplicates exact_;
  std::optional<NearDuplicates> near_;
  PromptPrefixes prefixes_;
  uint64_t spilled_ = 0;
  const SourceRecipe* source_ = nullptr;
  std::vector<SourceAccount> accounts_;
};

}  // namespace stablelm
