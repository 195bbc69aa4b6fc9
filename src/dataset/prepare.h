// Prepares a data set: from the files of a recipe to token shards with a manifest. docs/data.md tells it to users.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dataset/conversation_encoder.h"
#include "dataset/pass_log.h"
#include "dataset/recipe.h"
#include "dataset/sample_spool.h"
#include "dataset/source_account.h"
#include "dataset/step_times.h"
#include "prompt/chat_record.h"

namespace stablelm {

// Raised whenever the same inputs and recipe give other output.
inline constexpr int kPreparationRules = 2;

struct PrepareSetup {
  DataRecipe recipe;
  std::string recipe_yaml;  // resolved: every setting in force
  Tokenizer tokenizer;
  std::string tokenizer_from;            // as shown: a name, no path
  std::filesystem::path tokenizer_path;  // for run.json
  PromptTemplate prompt_template = PromptTemplate::kStableLmTuned;
  std::optional<std::string> system;      // of conversations without one
  std::vector<std::string> stop_tokens;   // spellings that end an answer
  std::optional<ChatRecord> chat_record;  // of a model tuned on this data
  size_t threads = 1;
  std::optional<uint64_t> limit;  // rows of each source at most
  bool dry_run = false;           // writes nothing
  size_t preview = 0;             // samples to keep for showing
  bool show_progress = true;
  // Of keys and numbers of rows and samples; beyond it they lie in temporary files beside the folder.
  size_t memory_bytes = size_t{96} << 20;
  PassLogOptions log = {};  // `resume`: continue an interrupted run
};

struct SplitAccount {
  uint64_t conversations = 0, documents = 0, packs = 0, tokens = 0, targets = 0;
  uint64_t lone_tokens = 0;  // dropped by concatenation: documents of one token
  double fill = 0;           // tokens over packs * sequence length
};

// An audit that found something. The run stops unless the recipe waives it.
struct AuditFinding {
  Audit audit = Audit::kTargets;
  std::string source;
  std::string words;
  bool waived = false;
};

struct PreviewSample {
  std::vector<int32_t> ids;
  std::vector<uint8_t> targets;
  SampleOrigin origin;
};

struct PreparedData {
  std::vector<SourceAccount> sources;
  SplitAccount train, validation;
  std::vector<AuditFinding> findings;
  std::vector<std::string> left_out;  // sentences about files that were not read (FindSourceFiles)
  std::vector<std::string> overlap_checked, overlap_not_found;  // evaluation sets, as the recipe names them
  std::vector<PreviewSample> preview;
  std::array<double, kPrepareSteps.size()> step_seconds = {};  // kPrepareSteps, summed over the threads
  uint64_t temporary_bytes = 0;                                // of keys and numbers that did not fit the memory
  uint64_t resumed_rows = 0;                                   // taken from an interrupted run
  bool unchanged = false;  // `out` holds the same preparation already; nothing was done and the rest is empty
};

// Writes the folder `out`, whole or not at all. A run that is killed or interrupted after some seconds leaves a file
// beside it (dataset/pass_log.h) from which the next one continues, with the same result. The folder has SPLIT.index
// and SPLIT-NNNNN.tokens (dataset/token_shards.h), manifest.json, report.html, run.json. All but run.json depends on
// the inputs, the recipe, the tokenizer and the chat record alone. Throws Error: a bad input, a failed audit, an `out`
// that exists (unless it is empty or of the same preparation), a full disk.
PreparedData PrepareData(const PrepareSetup& setup, const std::filesystem::path& out);

}  // namespace stablelm
