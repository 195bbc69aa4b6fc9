// Finds out the shape of a data file from its first rows.
#pragma once

#include <span>
#include <string>

#include "dataset/rows/source_kind.h"

namespace stablelm {

struct KindGuess {
  SourceKind kind = SourceKind::kMessages;  // never kAuto
  ColumnNames columns;                      // of kColumns
  std::string why;                          // "the rows have \"messages\""
};

// `rows`: the first rows, as JSON (DataRow::json). The first of these that fits most of them:
//   messages         a list `messages`, or the row is a list of objects with `role`
//   sharegpt         a list `conversations` or `conversation`
//   hh               `chosen`, or `prompt`, that begins with "\n\nHuman:"
//   dolly            instruction, response (or output), and `context` or `category`
//   alpaca           instruction, and output, response or instances
//   prompt-response  prompt, and response, completion, answer or output
//   columns          question + answer, user + assistant, query + response, input + output
//   markers          `text` that begins with <|SYSTEM|> or <|USER|>
//   text             `text`
// Throws Error, with the columns that there are and the keys that name them, when none does. `where` names the file.
KindGuess GuessKind(std::span<const std::string> rows, const std::string& where);

}  // namespace stablelm
