#include "cli/commands/score_input.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strict_json.h"
#include "cli/app/options.h"
#include "eval/text_windows.h"
#include "generate/token_ids.h"
#include "prompt/token_lists.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

std::string NameOfSource(const std::string& path) { return path == "-" ? "standard input" : path; }

// Calls add(ids, where) for every line that is not blank.
template <typename Add>
void ReadIdLines(std::string_view text, const std::string& where, const Add& add) {
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string place = where + ": line " + std::to_string(number);
    std::vector<int32_t> ids;
    try {
      ids = ParseIds(text.substr(0, end), place);
    } catch (const UsageError& error) {  // the file is at fault, not the command line
      throw Error(error.info());
    }
    if (!ids.empty()) add(std::move(ids), place);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// Calls add(ids, where) for every list.
template <typename Add>
void ReadIdsFile(const std::string& path, const Add& add) {
  const std::string where = NameOfSource(path);
  const std::string text = ReadFileOrPipe(path);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && text[first] >= '0' && text[first] <= '9') return ReadIdLines(text, where, add);
  const Json lists = ParseStrictJson(text, where);
  if (!lists.is_array()) {
    throw Error({.where = where,
                 .what = "not a list of lists of token ids",
                 .found = ShownJson(lists, 40),
                 .expected = "[[1, 2, 3], [4, 5]], [1, 2, 3] or lines of ids"});
  }
  if (!lists.empty() && lists[0].is_number()) return add(IdsFromJson(lists, where), where);
  size_t n = 0;
  for (const Json& list : lists) {
    const std::string place = where + ": list " + std::to_string(n++);
    add(IdsFromJson(list, place), place);
  }
}

template <typename Add>
void ReadLinesFile(const ScoreInput& input, ModelOfCommand& model, const Add& add) {
  const std::string where = NameOfSource(input.lines_file);
  const std::string text = CheckedUtf8(ReadFileOrPipe(input.lines_file), where, input.replace_invalid);
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    const std::string place = where + ": line " + std::to_string(++number);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const Json object = ParseStrictJson(line, place);
    const bool has_text = object.is_object() && object.contains("text");
    const bool has_ids = object.is_object() && object.contains("ids");
    if (has_text == has_ids || (has_text && !object["text"].is_string())) {
      throw Error({.where = place,
                   .what = has_text && has_ids ? "has both \"text\" and \"ids\"" : "has no text and no ids",
                   .found = ShownJson(object, 80),
                   .expected = "an object with \"text\" (a string) or \"ids\" (a list of whole numbers)"});
    }
    if (has_ids) {
      add(IdsFromJson(object["ids"], place), place);
    } else {
      const Tokenizer& tokenizer = model.RequireTokenizer("lines with \"ids\"");
      add(tokenizer.Encode(object["text"].get_ref<const std::string&>()), place);
    }
  }
}

}  // namespace

std::vector<std::vector<int32_t>> ReadScoreInput(const ScoreInput& input, ModelOfCommand& model) {
  std::vector<std::vector<int32_t>> sequences;
  const auto add = [&](std::vector<int32_t> ids, const std::string& where) {
    if (!input.window || static_cast<int64_t>(ids.size()) <= *input.window) {
      CheckTokenIds(ids, model.config(), where);
      sequences.push_back(std::move(ids));
      return;
    }
    for (const TextWindow& window : TextWindows(ids, *input.window)) {
      sequences.emplace_back(window.begin(), window.end());
      CheckTokenIds(sequences.back(), model.config(), where);
    }
  };
  std::string where;
  if (!input.ids_file.empty()) {
    where = NameOfSource(input.ids_file);
    ReadIdsFile(input.ids_file, add);
  } else if (!input.lines_file.empty()) {
    where = NameOfSource(input.lines_file);
    ReadLinesFile(input, model, add);
  } else {
    const bool given = input.text && *input.text != "-";
    where = given ? "TEXT" : NameOfSource(input.text ? *input.text : input.text_file);
    const Tokenizer& tokenizer = model.RequireTokenizer("--ids-file");
    const std::string text = given ? *input.text : ReadFileOrPipe(input.text ? *input.text : input.text_file);
    add(tokenizer.Encode(CheckedUtf8(text, where, input.replace_invalid)), where);
  }
  if (sequences.empty()) {
    throw Error({.where = where,
                 .what = "nothing to score",
                 .found = "no sequence",
                 .expected = "at least one",
                 .hint = "is the right file named?"});
  }
  return sequences;
}

}  // namespace stablelm
