#include "dataset/recipe_yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <map>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

using Kind = RecipeNode::Kind;

std::string LineAndColumn(int line, int column) {
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// The text with what it takes to tell places in it.
struct Source {
  std::string_view text;
  const std::string& where;
  std::vector<size_t> lines;  // where each begins

  Source(std::string_view text_in, const std::string& where_in) : text(text_in), where(where_in) {
    lines.push_back(0);
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') lines.push_back(i + 1);
    }
  }
  std::string_view Line(size_t index) const {
    const size_t end = index + 1 < lines.size() ? lines[index + 1] - 1 : text.size();
    return text.substr(lines[index], end - lines[index]);
  }
  // yaml-cpp counts from 0, columns in bytes. Past the end it names the line after the last.
  std::pair<int, int> Place(const YAML::Mark& mark) const {
    const size_t line = std::min(static_cast<size_t>(std::max(mark.line, 0)), lines.size() - 1);
    const std::string_view before = Line(line).substr(0, static_cast<size_t>(std::max(mark.column, 0)));
    const auto characters = std::ranges::count_if(before, [](char c) { return (c & 0xC0) != 0x80; });
    return {static_cast<int>(line) + 1, static_cast<int>(characters) + 1};
  }
  [[noreturn]] void Fail(const YAML::Mark& mark, ErrorInfo info) const {
    const auto [line, column] = Place(mark);
    info.where = where + ": " + LineAndColumn(line, column);
    throw Error(std::move(info));
  }
};

// Builds the tree from the parser's events.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const Source& source) : source_(source) {}
  RecipeNode Take() { return std::move(top_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      source_.Fail(mark, {.what = "a second document", .hint = "a recipe is one document: remove the line \"---\""});
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { Leaf(mark, anchor, Kind::kNull, {}, false); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    RefuseTag(mark, tag);
    Leaf(mark, anchor, Kind::kScalar, value, tag == "!");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      source_.Fail(mark, {.what = "this alias stands inside the value that it repeats",
                          .hint = "write the value itself in its place"});
    }
    RefuseAsKey(mark, found->second.kind != Kind::kScalar);
    if (open_.size() + Depth(found->second) > kMostRecipeDepth) TooDeep(mark);
    Count(mark, found->second);
    RecipeNode copy = found->second;
    std::tie(copy.line, copy.column) = source_.Place(mark);
    Add(mark, std::move(copy));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Level {
    RecipeNode node;
    YAML::anchor_t anchor;
    YAML::Mark mark;
    std::map<std::string, int> key_lines;
    bool expects_value = false;  // of a map: the last key has no value yet
  };

  void RefuseTag(const YAML::Mark& mark, const std::string& tag) const {
    if (tag.empty() || tag == "?" || tag == "!") return;
    source_.Fail(mark, {.what = "a tag",
                        .found = Quoted(tag, 60),
                        .expected = "a value without one",
                        .hint = "write a text that begins with \"!\" in quotes"});
  }
  void RefuseAsKey(const YAML::Mark& mark, bool refused) const {
    if (!refused || open_.empty() || open_.back().node.kind != Kind::kMap || open_.back().expects_value) return;
    source_.Fail(mark, {.what = "a key that is not a text", .hint = "is a \"[\" or \"{\" before it not closed?"});
  }
  [[noreturn]] void TooDeep(const YAML::Mark& mark) const {
    source_.Fail(mark,
                 {.what = "nested too deeply", .expected = "at most " + std::to_string(kMostRecipeDepth) + " levels"});
  }
  static size_t Depth(const RecipeNode& node) {
    size_t depth = 0;
    for (const RecipeNode& item : node.items) depth = std::max(depth, Depth(item));
    return depth + 1;
  }
  void Count(const YAML::Mark& mark, const RecipeNode& node) {
    bytes_ += node.text.size();
    for (const RecipeKey& key : node.keys) bytes_ += key.text.size();
    if (++nodes_ > kMostRecipeNodes || bytes_ > 4 * kMostRecipeBytes) {
      source_.Fail(mark, {.what = "too many values",
                          .expected = "at most " + std::to_string(kMostRecipeNodes) + " values in at most " +
                                      std::to_string(4 * kMostRecipeBytes) + " bytes, repeated ones included",
                          .hint = "aliases (*NAME) repeat what they name"});
    }
    for (const RecipeNode& item : node.items) Count(mark, item);
  }

  void Leaf(const YAML::Mark& mark, YAML::anchor_t anchor, Kind kind, std::string text, bool quoted) {
    RefuseAsKey(mark, kind == Kind::kNull);
    // yaml-cpp makes single bytes of \N and \_.
    if (utf8::FirstInvalid(text) != utf8::kValid || text.find('\0') != std::string::npos) {
      source_.Fail(mark, {.what = "an escape that is not supported",
                          .found = Quoted(text, 60),
                          .hint = "write \\u0085 for \\N and \\u00A0 for \\_; \\0 is not allowed"});
    }
    RecipeNode node{.kind = kind, .text = std::move(text), .quoted = quoted};
    std::tie(node.line, node.column) = source_.Place(mark);
    Count(mark, node);
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    Add(mark, std::move(node));
  }
  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Kind kind) {
    RefuseTag(mark, tag);
    RefuseAsKey(mark, true);
    if (open_.size() + 1 > kMostRecipeDepth) TooDeep(mark);
    RecipeNode node{.kind = kind};
    std::tie(node.line, node.column) = source_.Place(mark);
    Count(mark, node);
    open_.push_back({std::move(node), anchor, mark, {}, false});
  }
  void Close() {
    Level level = std::move(open_.back());
    open_.pop_back();
    if (level.anchor != YAML::NullAnchor) {
      Count(level.mark, level.node);  // the copy that is kept for aliases
      anchors_[level.anchor] = level.node;
    }
    Add(level.mark, std::move(level.node));
  }
  void Add(const YAML::Mark& mark, RecipeNode node) {
    if (open_.empty()) {
      top_ = std::move(node);
      return;
    }
    Level& level = open_.back();
    if (level.expects_value && node.kind == Kind::kNull && node.line > level.node.keys.back().line) {
      // Nothing was written: its place is that of the key, not of what follows.
      node.line = level.node.keys.back().line;
      node.column = level.node.keys.back().column;
    }
    if (level.node.kind == Kind::kList || level.expects_value) {
      level.node.items.push_back(std::move(node));
      level.expects_value = false;
      return;
    }
    if (node.text.size() > kMostRecipeKeyBytes) {
      source_.Fail(mark, {.what = "a key that is too long",
                          .found = std::to_string(node.text.size()) + " bytes",
                          .expected = "at most " + std::to_string(kMostRecipeKeyBytes)});
    }
    const auto [first, is_new] = level.key_lines.emplace(node.text, node.line);
    if (!is_new) {
      source_.Fail(mark, {.what = "the key " + Quoted(node.text, 60) + " a second time",
                          .hint = "the first is in line " + std::to_string(first->second)});
    }
    if (!node.quoted && node.text == "<<") {
      source_.Fail(mark, {.what = "merge keys (<<) are not supported", .hint = "write the merged keys out"});
    }
    level.node.keys.push_back({std::move(node.text), node.line, node.column});
    level.expects_value = true;
  }

  const Source& source_;
  RecipeNode top_{.kind = Kind::kMap, .line = 1, .column = 1};
  std::vector<Level> open_;
  std::map<YAML::anchor_t, RecipeNode> anchors_;
  size_t nodes_ = 0, bytes_ = 0;
  int documents_ = 0;
};

// What is wrong and what to do, in our words; the parser's own are for those who know its grammar.
ErrorInfo SyntaxProblem(const std::string& message, std::string_view line) {
  namespace E = YAML::ErrorMsg;
  const auto is = [&](const char* one) { return message.starts_with(one); };
  const bool has_tab = line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string_view::npos;
  if (has_tab || is(E::TAB_IN_INDENTATION)) return {.what = "a tab in the indentation", .hint = "use spaces"};
  if (is(E::END_OF_SEQ_FLOW)) {
    return {.what = "a list that begins with \"[\" has no \"]\", or a \",\" is missing in it",
            .hint = "close the list, or put a \",\" between its elements"};
  }
  if (is(E::END_OF_MAP_FLOW)) {
    return {.what = "a map that begins with \"{\" has no \"}\", or a \",\" is missing in it",
            .hint = "close the map, or put a \",\" between its keys"};
  }
  if (is(E::FLOW_END)) return {.what = "a closing bracket that fits no opening one", .hint = "remove it"};
  if (is(E::EOF_IN_SCALAR)) return {.what = "a quote that is not closed", .hint = "close it"};
  if (is(E::INVALID_ESCAPE)) {
    return {.what = "an unknown escape in a text in double quotes", .hint = "write \"\\\\\" for a backslash"};
  }
  if (is(E::INVALID_HEX) || is(E::INVALID_UNICODE)) {
    return {.what = "a wrong escape in a text in double quotes",
            .expected = "\\x and two hexadecimal digits, \\u and four, or \\U and eight"};
  }
  if (is(E::UNKNOWN_ANCHOR)) {
    return {.what = "an alias (*NAME) of a value that is not there",
            .hint = "a text that begins with \"*\" needs quotes"};
  }
  if (is(E::MAP_VALUE) || is(E::MAP_KEY)) {
    return {.what = "a key where none can be", .hint = "a text with \": \" in it needs quotes"};
  }
  if (is(E::BLOCK_ENTRY)) {
    return {.what = "a list element where none can be", .hint = "the \"-\" of a list stand in one column"};
  }
  if (is(E::END_OF_MAP)) {
    return {.what = "neither a key of the map above nor its end", .hint = "keys of a map stand in one column"};
  }
  if (is(E::END_OF_SEQ)) {
    return {.what = "neither an element of the list above nor its end",
            .hint = "the \"-\" of a list stand in one column"};
  }
  if (is(E::UNKNOWN_TOKEN)) return {.what = "a character that cannot begin a value", .hint = "put the text in quotes"};
  return {.what = "not valid YAML", .expected = "\"KEY: VALUE\" on each line"};
}

void CheckText(const Source& source) {
  const std::string& where = source.where;
  const std::string_view text = source.text;
  if (text.size() > kMostRecipeBytes) {
    throw Error({.where = where,
                 .what = "too large for a recipe",
                 .found = std::to_string(text.size()) + " bytes",
                 .expected = "at most " + std::to_string(kMostRecipeBytes),
                 .hint = "a recipe is a page of settings: is the right file named?"});
  }
  size_t bad = utf8::FirstInvalid(text);
  const bool is_utf8 = bad == utf8::kValid;
  if (is_utf8) bad = std::min(text.find('\0'), text.find('\x04'));  // yaml-cpp's mark of the end of a file is 4
  if (bad == std::string_view::npos) return;
  const auto line = static_cast<size_t>(std::ranges::upper_bound(source.lines, bad) - source.lines.begin()) - 1;
  YAML::Mark mark;
  mark.line = static_cast<int>(line);
  mark.column = static_cast<int>(bad - source.lines[line]);
  source.Fail(mark, {.what = is_utf8 ? "a control character" : "not UTF-8",
                     .found = Quoted(text.substr(bad, 1)),
                     .hint = is_utf8 ? "remove it" : "save the file as UTF-8"});
}

}  // namespace

const char* NameOf(RecipeOrigin origin) {
  switch (origin) {
    case RecipeOrigin::kDefault:
      return "default";
    case RecipeOrigin::kCard:
      return "card";
    case RecipeOrigin::kRecipe:
      return "recipe";
    case RecipeOrigin::kCommandLine:
      return "command line";
  }
  STABLELM_CHECK(false);
}

const RecipeNode* RecipeNode::Find(std::string_view key) const {
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].text == key) return &items[i];
  }
  return nullptr;
}

RecipeNode* RecipeNode::Find(std::string_view key) { return const_cast<RecipeNode*>(std::as_const(*this).Find(key)); }

std::string PlaceOf(const RecipeNode& node, const std::string& where) {
  if (!node.set.empty()) return "--set " + node.set;
  return node.line > 0 ? where + ": " + LineAndColumn(node.line, node.column) : where;
}

RecipeNode ParseRecipeYaml(std::string_view text, const std::string& where) {
  utf8::DropByteOrderMark(text);
  const Source source(text, where);
  CheckText(source);
  TreeBuilder builder(source);
  try {
    // yaml-cpp takes a line end at the end of the file for a closing quote, so the file ends in a comment.
    std::istringstream stream(std::string(text) + (text.ends_with('\n') ? "#" : ""));
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    const auto number = static_cast<size_t>(source.Place(error.mark).first);
    const std::string_view line = source.Line(number - 1);
    const bool empty = line.find_first_not_of(" \t\r") == std::string_view::npos;
    ErrorInfo info = SyntaxProblem(error.msg, line);
    info.found = !empty ? Quoted(line, 80) : number == source.lines.size() ? "the end of the file" : "an empty line";
    source.Fail(error.mark, std::move(info));
  }
  return builder.Take();
}

}  // namespace stablelm
