// Reads the files of a source, and turns their rows into samples on all threads. Results come in the order of the rows,
// whatever the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/thread_pool.h"
#include "dataset/clean/hashes.h"
#include "dataset/clean/near_duplicates.h"
#include "dataset/clean/overlap.h"
#include "dataset/clean/prefixes.h"
#include "dataset/clean/reasons.h"
#include "dataset/conversation_encoder.h"
#include "dataset/recipe.h"
#include "dataset/sample_spool.h"
#include "dataset/source_files.h"
#include "dataset/step_times.h"

namespace stablelm {

class PassLog;

// One conversation of a row, or why there is none.
struct PassedConversation {
  std::string reason;  // not empty: dropped
  std::string words;
  TokenAccount tokens;
  // Of kept ones:
  SampleBytes samples;
  uint64_t control_spellings = 0, open_answers = 0;  // EncodedConversation
  bool checked = false, changed = false;             // its texts were compared with those of its ids, and differ
  uint64_t split_hash = 0;  // of the first user text's words and the seed: the same for a question in other letters
  ContentKey key;           // with CleanRules::exact_duplicates
  NearSignature near;       // with CleanRules::near_duplicates
  std::vector<PromptPrefixes::Prompt> prompts;  // with PassSetup::prompts
};

struct PassedRow {
  uint32_t file = 0;
  uint64_t row = 0;   // of the file
  uint64_t line = 0;  // 0: not known
  uint64_t repairs = 0;
  ChangeCounts changes;
  std::vector<PassedConversation> conversations;  // at least one
};

// What a pass tells, in order and on the calling thread.
class PassSink {
 public:
  virtual ~PassSink() = default;
  virtual void BeginFile(uint32_t file, const std::string& format) = 0;
  virtual void Take(PassedRow& row) = 0;
  // The file cannot be read to its end, and the recipe skips such files: it comes in place of the file's rows.
  virtual void DropFile(uint32_t file, const std::string& why) = 0;
};

struct PassSetup {
  const SourceRecipe& source;
  const EncodingSetup& encoding;
  SourceKind kind = SourceKind::kMessages;  // in force
  ColumnNames columns;                      // in force
  LossRule loss = LossRule::kAssistant;     // in force
  std::optional<uint64_t> limit;            // rows at most
  bool skip_bad_files = false;
  std::string duckdb;
  const EvaluationTexts* evaluation = nullptr;  // texts that are not to be learned; null: none
  const NearSigner* signer = nullptr;           // of sources with near_duplicates
  bool prompts = false;                         // find the prompts of each conversation
  uint64_t seed = 0;                            // of split hashes
  size_t id_bytes = 4;                          // of ids in samples
  StepTimes& times;
  PassLog* log = nullptr;      // takes the rows from it that it has, and adds others; null: none
  uint32_t source_number = 0;  // in the log
};

// Rows longer than 1 MB are passed alone, so that memory holds one of them. Throws Error when a file cannot be read, or
// when no row of a file has the columns that the kind needs. `progress` counts bytes of the files. `hashes`: SHA-256 of
// each file, for the log.
void PassSource(const PassSetup& setup, const std::vector<SourceFile>& files, const std::vector<std::string>& hashes,
                ThreadPool& pool, Progress& progress, PassSink& sink);

// The first rows of a file as JSON, for GuessKind. Throws Error.
std::vector<std::string> FirstRows(const SourceFile& file, size_t most, const std::string& duckdb);

}  // namespace stablelm
