// The shapes of rows that data sets have, by the names of their columns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

enum class SourceKind : uint8_t {
  kAuto,         // "auto": found out from the first rows (dataset/rows/guess_kind.h)
  kMessages,     // "messages": {"messages": [{"role", "content", "weight"}]}, as OpenAI's fine-tuning takes them
  kShareGpt,     // "sharegpt": {"id", "conversations": [{"from", "value"}]}
  kAlpaca,       // "alpaca": instruction, input, output (or response), or instances: [{input, output}]
  kPromptReply,  // "prompt-response": prompt, response (or completion)
  kHh,           // "hh": prompt + response, or `chosen`: transcripts with "\n\nHuman:" and "\n\nAssistant:"
  kDolly,        // "dolly": instruction, context (or input), response (or output), category
  kMarkers,      // "markers": `text` in which <|SYSTEM|>, <|USER|> and <|ASSISTANT|> are spelled
  kColumns,      // "columns": the names are given
  kText,         // "text": `text`, or a plain text file: documents without roles
};
const char* NameOf(SourceKind kind);
std::vector<std::string> SourceKindNames();
std::optional<SourceKind> SourceKindOf(std::string_view name);

// How the texts of a row are joined and which system text they get.
enum class Manner : uint8_t {
  kPlain,         // "plain"
  kChatCombined,  // "chatcombined": as the scripts of the card's data author did (dmahan93/ChatCombinedDatahandling)
};
const char* NameOf(Manner manner);
std::vector<std::string> MannerNames();
std::optional<Manner> MannerOf(std::string_view name);

// Columns of `kind: columns`: names, or paths with dots into nested objects. Either `turns` or `user` and `assistant`.
struct ColumnNames {
  std::string system = {}, user = {}, assistant = {}, id = {};  // empty: none
  std::string context = {};  // appended to the user's text after a line end, when not blank
  std::string turns = {};    // a list of objects with a role and a text
  std::string turn_role = "role", turn_text = "content";
  bool operator==(const ColumnNames&) const = default;
};

}  // namespace stablelm
