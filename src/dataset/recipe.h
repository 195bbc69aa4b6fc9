// The recipe of a data set: which files, how they are read and cleaned, and how they become tokens.
//
// A recipe is YAML (dataset/recipe_file.h). Paths are relative to its folder; every key has a default but `sources`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataset/clean/clean_rules.h"
#include "dataset/rows/source_kind.h"
#include "prompt/prompt_template.h"

namespace stablelm {

// Which tokens are targets (dataset/targets.h).
enum class LossRule : uint8_t {
  kAssistant,         // "assistant": assistant texts and the token that ends each
  kLastAssistant,     // "last-assistant": of the last answer alone
  kAll,               // "all": every token but a document's first
  kAssistantMarkers,  // "assistant+markers": also what opens the assistant's turn
};
const char* NameOf(LossRule rule);
std::vector<std::string> LossRuleNames();
std::optional<LossRule> LossRuleOf(std::string_view name);

enum class Packing : uint8_t {
  kPack,    // "pack": whole samples, as many as fit
  kNone,    // "none": one sample a row
  kConcat,  // "concat": back to back, cut at the border: for pre-training
};
const char* NameOf(Packing packing);
std::vector<std::string> PackingNames();
std::optional<Packing> PackingOf(std::string_view name);

// What ends a conversation where the template has no end of its own.
enum class EndRule : uint8_t { kEndOfText, kNone };  // "end-of-text": <|endoftext|>, a target; "none"

// What becomes of one question and answer that are longer than the sequence.
enum class LongTurn : uint8_t { kDrop, kTruncateUser };  // "drop", "truncate-user"

struct SystemRule {
  enum class Kind : uint8_t {
    kDefault,  // absent: the row's own system text, else the chat record's or template's
    kNone,     // null: none, the row's own is dropped too
    kText,     // a text: in place of all others
  } kind = Kind::kDefault;
  std::string text;
};

struct SourceRecipe {
  std::string name;
  std::vector<std::string> paths;  // path, glob, or hub id (`ORG/NAME`), as written
  SourceKind kind = SourceKind::kAuto;
  double weight = 1;              // 2.5: every row twice, and half of them once more
  std::optional<uint64_t> limit;  // rows read at most
  SystemRule system;
  Manner manner = Manner::kPlain;
  LossRule loss = LossRule::kAssistant;  // hh: last-assistant unless said otherwise
  ColumnNames columns;
  CleanRules clean;
  std::string split = "train";  // of a hub id: which files
  std::string licence;          // as the recipe states it; empty: unknown
};

struct DataRecipe {
  std::string name;
  std::filesystem::path folder;                   // that relative paths start from
  std::string tokenizer;                          // tokenizer.json, model folder or GGUF; empty: none was named
  std::optional<PromptTemplate> prompt_template;  // absent: the model's chat record, else by its tokens
  int64_t sequence_length = 4096;
  Packing packing = Packing::kPack;
  EndRule end = EndRule::kEndOfText;
  LongTurn long_turn = LongTurn::kDrop;
  uint64_t seed = 1;
  double validation = 0.01;  // share of the conversations
  bool skip_bad_files = false;
  std::string duckdb;                 // DuckDB's program; empty: in PATH
  std::vector<std::string> waive;     // audits whose failure does not stop the run
  std::vector<std::string> overlap;   // evaluation sets: paths or hub ids
  std::vector<SourceRecipe> sources;  // names are unique
};

}  // namespace stablelm
