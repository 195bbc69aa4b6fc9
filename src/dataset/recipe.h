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
// The rule of a source whose recipe names none: of hh last-assistant (its earlier answers were not the preferred ones),
// of text all.
LossRule DefaultLoss(SourceKind kind);

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
const char* NameOf(EndRule rule);
std::vector<std::string> EndRuleNames();
std::optional<EndRule> EndRuleOf(std::string_view name);

// What becomes of one question and answer that are longer than the sequence.
enum class LongTurn : uint8_t { kDrop, kTruncateUser };  // "drop", "truncate-user"
const char* NameOf(LongTurn rule);
std::vector<std::string> LongTurnNames();
std::optional<LongTurn> LongTurnOf(std::string_view name);

// Audits of the tokens that stop the run, unless the recipe waives them by these names.
enum class Audit : uint8_t {
  kTargets,      // "targets": every sample has a target
  kTargetShare,  // "target-share": a source's share of targets is within bounds
  kTurnEnd,      // "turn-end": an assistant's turn ends in a stop token or the end token
  kRoundTrip,    // "round-trip": ids give NFC of the text
  kVocabulary,   // "vocabulary": no id is beyond the vocabulary
};
const char* NameOf(Audit audit);
std::vector<std::string> AuditNames();
std::optional<Audit> AuditOf(std::string_view name);

struct SystemRule {
  enum class Kind : uint8_t {
    kDefault,  // absent: the row's own system text, else the chat record's or template's
    kNone,     // null: none, the row's own is dropped too
    kText,     // a text: in place of all others
  } kind = Kind::kDefault;
  std::string text;
  bool operator==(const SystemRule&) const = default;
};

struct SourceRecipe {
  std::string name;
  std::vector<std::string> paths;  // path, glob, or hub id (`ORG/NAME`), as written
  SourceKind kind = SourceKind::kAuto;
  double weight = 1;              // 2.5: every row twice, and half of them once more
  std::optional<uint64_t> limit;  // rows read at most
  SystemRule system;
  Manner manner = Manner::kPlain;
  std::optional<LossRule> loss;  // absent: DefaultLoss of the kind that is found out; only with `auto`
  ColumnNames columns;
  CleanRules clean;
  std::string split = "train";  // of a hub id: which files
  std::string licence;          // as the recipe states it; empty: unknown
  bool operator==(const SourceRecipe&) const = default;
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
  std::vector<Audit> waive;           // audits whose failure does not stop the run
  std::vector<std::string> overlap;   // evaluation sets: paths or hub ids
  std::vector<SourceRecipe> sources;  // names are unique
  bool operator==(const DataRecipe&) const = default;
};

}  // namespace stablelm
