// From a row of a data set to conversations, by the shape of the row. Rows are counted, never fatal: a row that cannot
// be used says why. Texts come out as they are in the row; dataset/clean changes them.
//
// Facts about the shapes: the data sets of the model card and the fine-tuning formats of OpenAI and FastChat.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataset/rows/source_conversation.h"
#include "dataset/rows/source_kind.h"

namespace stablelm {

struct ShapeRules {
  SourceKind kind = SourceKind::kMessages;  // not kAuto
  ColumnNames columns = {};                 // of kColumns
  Manner manner = Manner::kPlain;
  bool placeholders = false;  // CleanRules::placeholders: an alpaca input that says "no input" is none
};

// Why a row cannot be used. The name is for counts ("null-content"), the words for the list of dropped rows.
struct RowProblem {
  std::string name;
  std::string words;
  bool missing_column = false;  // the row lacks a column that the shape needs
};

struct ShapedRow {
  std::vector<SourceConversation> conversations;  // several for alpaca's instances[]; none: `problem` says why
  RowProblem problem;
  uint64_t placeholders = 0;  // inputs that became none
};

// The columns of a file with these columns that Shape looks at; none if the file lacks one that it needs.
std::vector<std::string> ColumnsToRead(const ShapeRules& rules, const std::vector<std::string>& present);

// Manner::kChatCombined: the system text of a row that SplitEndMarkers (dataset/clean/text_rules.h) made several turns
// of. nullopt: it keeps its own.
std::optional<std::string> SystemOfSplitRow(const ShapeRules& rules);

// Reuses its parser. For one thread.
class RowShaper {
 public:
  explicit RowShaper(ShapeRules rules);
  RowShaper(RowShaper&&) noexcept;
  ~RowShaper();
  // `json`: one value, valid UTF-8, with kRowPadding readable bytes behind (DataRow::json).
  ShapedRow Shape(std::string_view json);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A transcript of Anthropic's HH data: turns begin with "\n\nHuman:" or "\n\nAssistant:", whatever blank lines are in
// them; one space after the colon is dropped. False when the text does not begin with a turn.
bool SplitTranscript(std::string_view transcript, std::vector<SourceTurn>& turns);

}  // namespace stablelm
