#include "dataset/recipe_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/mapped_file.h"
#include "base/nearest.h"
#include "base/number_text.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

using Kind = RecipeNode::Kind;

std::string RealText(double value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  STABLELM_CHECK(error == std::errc());
  return {text, end};
}

std::string Expected(const WholeRange& range) {
  if (range.most == kMostWhole) return "a whole number of at least " + Grouped(range.least);
  return "a whole number from " + Grouped(range.least) + " to " + Grouped(range.most);
}

std::string Expected(const RealRange& range) {
  std::string text = range.above_least ? "a number above " : "a number from ";
  text += RealText(range.least);
  if (range.most == std::numeric_limits<double>::max()) return range.above_least ? text : text + " on";
  return text + (range.above_least ? " and at most " : " to ") + RealText(range.most);
}

std::string Shown(const RecipeNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "nothing (null)";
    case Kind::kScalar:
      return node.text.empty() ? "an empty text" : Quoted(node.text, 80);
    case Kind::kList:
      return node.items.empty() ? "an empty list" : "a list";
    case Kind::kMap:
      return node.items.empty() ? "an empty map" : "a map";
  }
  STABLELM_CHECK(false);
}

template <typename Number>
std::optional<Number> NumberOf(const RecipeNode& node) {
  std::string_view text = node.text;
  if (node.kind != Kind::kScalar || node.quoted || !IsNumberWord(text)) return std::nullopt;
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

RecipeNode Plain(std::string text) { return {.kind = Kind::kScalar, .text = std::move(text)}; }

RecipeNode ListOf(const std::vector<std::string>& texts) {
  RecipeNode list{.kind = Kind::kList};
  for (const std::string& text : texts) list.items.push_back({.kind = Kind::kScalar, .text = text, .quoted = true});
  return list;
}

// Makes a value one of the command line, which has no lines.
void SetFromCommandLine(RecipeNode& node, const std::string& set) {
  node.origin = RecipeOrigin::kCommandLine;
  node.set = set;
  node.line = node.column = 0;
  for (RecipeKey& key : node.keys) key.line = key.column = 0;
  for (RecipeNode& item : node.items) SetFromCommandLine(item, set);
}

// The value of an override.
RecipeNode ValueOf(std::string_view text, const std::string& where) {
  if (!text.empty() && std::string_view("\"'[{").find(text.front()) != std::string_view::npos) {
    return ParseRecipeYaml(text, where);
  }
  if (IsNullWord(text) && !text.empty()) return {};
  return {.kind = Kind::kScalar, .text = std::string(text), .quoted = text.empty()};
}

std::string NameMember(const RecipeNode& element) {
  const RecipeNode* name = element.Find("name");
  return name && name->kind == Kind::kScalar ? name->text : "";
}

// Follows an override's key from the top, one step at a time.
class OverridePath {
 public:
  OverridePath(RecipeNode& top, std::string_view key, const std::string& set, RecipeFile::ElementName name_of)
      : node_(&top), rest_(key), set_(set), name_of_(name_of) {}

  RecipeNode& Follow() {
    while (!rest_.empty()) {
      if (node_->kind == Kind::kList) {
        StepIntoList();
      } else {
        StepIntoMap();
      }
    }
    return *node_;
  }

 private:
  [[noreturn]] void Fail(ErrorInfo info) const {
    info.where = "--set " + set_;
    throw UsageError(std::move(info));
  }
  void Consume(size_t bytes) {
    done_.append(done_.empty() ? "" : ".").append(rest_.substr(0, bytes));
    rest_.remove_prefix(bytes);
    if (!rest_.empty()) rest_.remove_prefix(1);  // the dot
  }
  void StepIntoMap() {
    const size_t end = std::min(rest_.find('.'), rest_.size());
    const std::string_view key = rest_.substr(0, end);
    if (key.empty() || end + 1 == rest_.size()) {
      Fail({.what = "not a key", .expected = "KEY=VALUE, with dots between the keys of nested maps"});
    }
    if (node_->kind == Kind::kScalar) {
      Fail({.what = done_ + " has no keys", .found = Shown(*node_), .expected = "a map"});
    }
    node_->kind = Kind::kMap;  // null becomes an empty map
    RecipeNode* found = node_->Find(key);
    if (!found) {
      node_->keys.push_back({.text = std::string(key)});
      node_->items.emplace_back();
      found = &node_->items.back();
      SetFromCommandLine(*found, set_);
    }
    Consume(end);
    node_ = found;
  }
  void StepIntoList() {
    // Names may contain dots: the longest that fits.
    std::vector<std::string> names;
    size_t length = 0;
    RecipeNode* found = nullptr;
    for (RecipeNode& item : node_->items) {
      const std::string name = item.kind == Kind::kMap ? name_of_(item) : std::string();
      if (name.empty()) continue;
      names.push_back(name);
      const bool fits = rest_ == name || (rest_.starts_with(name) && rest_[name.size()] == '.');
      if (!fits || name.size() < length) continue;
      if (name.size() == length) Fail({.what = "two elements of " + done_ + " have this name", .found = Quoted(name)});
      length = name.size();
      found = &item;
    }
    const std::string_view word = rest_.substr(0, rest_.find('.'));
    size_t index = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), index);
    const bool is_index = !found && error == std::errc() && end == word.data() + word.size();
    if (is_index && index < node_->items.size()) {
      found = &node_->items[index];
      length = word.size();
    }
    if (!found) {
      const size_t n = node_->items.size();
      std::string expected = n == 0 ? "nothing: it is empty" : n == 1 ? "0" : "0 to " + std::to_string(n - 1);
      if (!names.empty()) expected += ", or " + Joined(names);
      Fail({.what = "no such element of " + done_,
            .found = Quoted(word),
            .expected = expected,
            .hint = DidYouMean(word, names)});
    }
    Consume(length);
    node_ = found;
  }

  RecipeNode* node_;
  std::string_view rest_;
  std::string done_;
  const std::string& set_;
  RecipeFile::ElementName name_of_;
};

void List(const RecipeNode& node, const std::string& key, std::vector<RecipeSetting>& settings) {
  const bool is_list_of_maps = node.kind == Kind::kList && !node.items.empty() && node.items[0].kind == Kind::kMap;
  if (node.kind != Kind::kMap && !is_list_of_maps) {
    settings.push_back({key, node.written ? RecipeValueText(node) : node.text, node.origin});
    return;
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const RecipeNode& item = node.items[i];
    const std::string name = !is_list_of_maps ? node.keys[i].text : item.text.empty() ? std::to_string(i) : item.text;
    List(item, key.empty() ? name : key + "." + name, settings);
  }
}

}  // namespace

RecipeFile RecipeFile::Read(const std::filesystem::path& path) {
  return Parse(ReadTextFile(path, kMostRecipeBytes), path.string());
}

RecipeFile RecipeFile::Parse(std::string_view text, std::string where) {
  RecipeNode top = ParseRecipeYaml(text, where);
  return {std::move(top), std::move(where)};
}

RecipeFile::RecipeFile(RecipeNode top, std::string where) : top_(std::move(top)), where_(std::move(where)) {
  if (top_.kind == Kind::kNull) top_.kind = Kind::kMap;
  if (top_.kind == Kind::kMap) return;
  throw Error({.where = PlaceOf(top_, where_),
               .what = "not a recipe",
               .found = Shown(top_),
               .expected = "keys and values, \"KEY: VALUE\" on each line"});
}

void RecipeFile::Set(std::string_view assignment) { Set(assignment, NameMember); }

void RecipeFile::Set(std::string_view assignment, ElementName name_of) {
  const std::string set(assignment);
  const std::string place = "--set " + set;
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw UsageError({.where = place, .what = "no value", .expected = "KEY=VALUE, as in seed=3"});
  }
  if (utf8::FirstInvalid(set) != utf8::kValid || set.find('\0') != std::string::npos) {
    throw UsageError({.where = Quoted(place), .what = "not UTF-8", .hint = "type it in UTF-8"});
  }
  RecipeNode value;
  try {
    value = ValueOf(assignment.substr(equals + 1), place);
  } catch (const Error& error) {
    throw UsageError(error.info());
  }
  SetFromCommandLine(value, set);
  RecipeNode changed = top_;  // an override that is refused changes nothing
  OverridePath(changed, assignment.substr(0, equals), set, name_of).Follow() = std::move(value);
  top_ = std::move(changed);
}

void RecipeFile::Remove(std::string_view key) {
  const auto found = std::ranges::find(top_.keys, key, &RecipeKey::text);
  if (found == top_.keys.end()) return;
  top_.items.erase(top_.items.begin() + (found - top_.keys.begin()));
  top_.keys.erase(found);
}

bool RecipeFile::RemoveIfUnset(std::string_view key) {
  const RecipeNode* const value = top_.Find(key);
  if (!value || value->kind != Kind::kNull || value->set.empty()) return false;
  Remove(key);
  return true;
}

RecipeSettings RecipeFile::Visit(FunctionRef<void(RecipeMap&)> read) const {
  RecipeMap top(*this, &top_, top_, {}, false);
  read(top);
  top.Finish();
  std::vector<RecipeSetting> settings;
  List(top.kept_, {}, settings);
  return {std::move(top.kept_), std::move(settings)};
}

RecipeMap::RecipeMap(const RecipeFile& file, const RecipeNode* node, const RecipeNode& at, std::string path,
                     bool inherits)
    : file_(file), node_(node), at_(at), path_(std::move(path)), inherits_(inherits) {
  kept_.kind = Kind::kMap;
}

bool RecipeMap::Has(const std::string& key) { return Take(key) != nullptr; }

bool RecipeMap::HasNull(const std::string& key) {
  const RecipeNode* const value = Take(key);
  return value && value->kind == Kind::kNull;
}

const RecipeNode* RecipeMap::Take(const std::string& key) {
  known_.push_back(key);
  return node_ ? node_->Find(key) : nullptr;
}

void RecipeMap::FailAt(const RecipeNode& node, ErrorInfo info) const {
  if (info.where.empty()) info.where = PlaceOf(node, file_.where_);
  if (!node.set.empty()) throw UsageError(std::move(info));
  throw Error(std::move(info));
}

void RecipeMap::Fail(const std::string& key, ErrorInfo info) const {
  const RecipeNode* value = node_ ? node_->Find(key) : nullptr;
  if (value && info.found.empty()) info.found = Shown(*value);
  FailAt(value ? *value : at_, std::move(info));
}

void RecipeMap::WrongValue(const std::string& key, const RecipeNode& node, const std::string& expected) const {
  FailAt(node, {.what = PathOf(key) + ": wrong value", .found = Shown(node), .expected = expected});
}

void RecipeMap::UnknownChoice(const std::string& key, const RecipeNode& node,
                              std::span<const std::string> names) const {
  FailAt(node, {.what = PathOf(key) + ": unknown choice",
                .found = Shown(node),
                .expected = names.size() == 1 ? names[0] : "one of " + Joined(names),
                .hint = DidYouMean(node.text, names)});
}

void RecipeMap::Require(const std::string& key, const std::string& expected) {
  if (!missing_) missing_ = ErrorInfo{.what = PathOf(key) + " is missing", .expected = expected};
}

void RecipeMap::Keep(const std::string& key, RecipeNode value, const RecipeNode* from) {
  value.origin = from ? from->origin : fallback_origin_;
  value.written = from || !inherits_;
  if (!value.written) value.text = RecipeValueText(value);
  kept_.keys.push_back({.text = key});
  kept_.items.push_back(std::move(value));
}

void RecipeMap::KeepText(const std::string& key, const std::optional<std::string>& value, const RecipeNode* from) {
  Keep(key, value ? RecipeNode{.kind = Kind::kScalar, .text = *value, .quoted = true} : RecipeNode(), from);
}

std::string RecipeMap::ScalarOf(const std::string& key, const RecipeNode& node, const std::string& expected) const {
  if (node.kind != Kind::kScalar) WrongValue(key, node, expected);
  return node.text;
}

bool RecipeMap::Flag(const std::string& key, bool fallback) {
  const RecipeNode* node = Take(key);
  bool value = fallback;
  if (node) {
    if (node->kind != Kind::kScalar || node->quoted || !IsFlagWord(node->text)) {
      WrongValue(key, *node, "true or false");
    }
    value = node->text.front() == 't' || node->text.front() == 'T';
  }
  Keep(key, Plain(value ? "true" : "false"), node);
  return value;
}

int64_t RecipeMap::Whole(const std::string& key, int64_t fallback, const WholeRange& range) {
  return OptionalWhole(key, fallback, range).value();
}

std::optional<int64_t> RecipeMap::OptionalWhole(const std::string& key, std::optional<int64_t> fallback,
                                                const WholeRange& range) {
  const RecipeNode* node = Take(key);
  std::optional<int64_t> value = fallback;
  if (node && node->kind == Kind::kNull && !fallback) {
    value = std::nullopt;
  } else if (node) {
    value = NumberOf<int64_t>(*node);
    if (!value || *value < range.least || *value > range.most) WrongValue(key, *node, Expected(range));
  }
  Keep(key, value ? Plain(std::to_string(*value)) : RecipeNode(), node);
  return value;
}

double RecipeMap::Real(const std::string& key, double fallback, const RealRange& range) {
  const RecipeNode* node = Take(key);
  double value = fallback;
  if (node) {
    const std::optional<double> found = NumberOf<double>(*node);
    const bool fits = found && std::isfinite(*found) && *found <= range.most &&
                      (range.above_least ? *found > range.least : *found >= range.least);
    if (!fits) WrongValue(key, *node, Expected(range));
    value = *found == 0 ? 0 : *found;  // no minus zero
  }
  Keep(key, Plain(RealText(value)), node);
  return value;
}

std::string RecipeMap::Text(const std::string& key, const std::string& fallback) {
  const RecipeNode* node = Take(key);
  const std::string value = node ? ScalarOf(key, *node, "a text") : fallback;
  KeepText(key, value, node);
  return value;
}

std::string RecipeMap::RequiredText(const std::string& key, const std::string& expected) {
  const RecipeNode* node = Take(key);
  if (!node) {
    Require(key, expected);
    return {};
  }
  const std::string value = ScalarOf(key, *node, expected);
  if (value.empty()) WrongValue(key, *node, expected);
  KeepText(key, value, node);
  return value;
}

std::string RecipeMap::Choice(const std::string& key, const std::string& fallback, std::span<const std::string> names) {
  return OptionalChoice(key, fallback, names).value();
}

std::optional<std::string> RecipeMap::OptionalText(const std::string& key, const std::optional<std::string>& fallback) {
  const RecipeNode* node = Take(key);
  std::optional<std::string> value = fallback;
  if (node) {
    value = node->kind == Kind::kNull ? std::nullopt : std::optional(ScalarOf(key, *node, "a text or null"));
  }
  KeepText(key, value, node);
  return value;
}

std::optional<std::string> RecipeMap::OptionalChoice(const std::string& key, const std::optional<std::string>& fallback,
                                                     std::span<const std::string> names) {
  const RecipeNode* node = Take(key);
  std::optional<std::string> value = fallback;
  if (node && node->kind == Kind::kNull && !fallback) {
    value = std::nullopt;
  } else if (node) {
    value = ScalarOf(key, *node, "one of " + Joined(names));
    if (std::ranges::find(names, *value) == names.end()) UnknownChoice(key, *node, names);
  }
  KeepText(key, value, node);
  return value;
}

std::vector<std::string> RecipeMap::TextsOf(const std::string& key, const RecipeNode& node, size_t least) const {
  if (node.kind != Kind::kList || node.items.size() < least) {
    WrongValue(key, node, least > 0 ? "a list of texts, not empty" : "a list of texts");
  }
  std::vector<std::string> texts;
  for (size_t i = 0; i < node.items.size(); ++i) {
    texts.push_back(ScalarOf(key + "." + std::to_string(i), node.items[i], "a text"));
  }
  return texts;
}

std::vector<std::string> RecipeMap::Texts(const std::string& key, const std::vector<std::string>& fallback) {
  const RecipeNode* node = Take(key);
  const std::vector<std::string> texts = node ? TextsOf(key, *node, 0) : fallback;
  Keep(key, ListOf(texts), node);
  return texts;
}

std::vector<std::string> RecipeMap::Choices(const std::string& key, std::span<const std::string> names) {
  const std::vector<std::string> texts = Texts(key);
  const RecipeNode* node = Take(key);
  for (size_t i = 0; i < texts.size(); ++i) {
    if (std::ranges::find(names, texts[i]) == names.end()) UnknownChoice(key, node->items[i], names);
  }
  return texts;
}

std::vector<std::string> RecipeMap::RequiredTexts(const std::string& key, const std::string& expected) {
  const RecipeNode* node = Take(key);
  if (!node) {
    Require(key, expected);
    return {};
  }
  if (node->kind != Kind::kScalar && node->kind != Kind::kList) WrongValue(key, *node, expected);
  const bool is_one = node->kind == Kind::kScalar;
  const std::vector<std::string> texts = is_one ? std::vector{node->text} : TextsOf(key, *node, 1);
  if (const auto empty = std::ranges::find(texts, ""); empty != texts.end()) {
    WrongValue(key, is_one ? *node : node->items[static_cast<size_t>(empty - texts.begin())], expected);
  }
  if (is_one) {
    KeepText(key, texts[0], node);
  } else {
    Keep(key, ListOf(texts), node);
  }
  return texts;
}

void RecipeMap::Map(const std::string& key, FunctionRef<void(RecipeMap&)> read, bool inherits) {
  const RecipeNode* node = Take(key);
  if (node && node->kind != Kind::kMap) WrongValue(key, *node, "a map of keys and values");
  RecipeMap map(file_, node, node ? *node : at_, PathOf(key), inherits);
  read(map);
  map.Finish();
  map.kept_.written = std::ranges::any_of(map.kept_.items, &RecipeNode::written);
  kept_.keys.push_back({.text = key});
  kept_.items.push_back(std::move(map.kept_));
}

void RecipeMap::Maps(const std::string& key, size_t least, FunctionRef<void(RecipeMap&, size_t)> read) {
  const RecipeNode* node = Take(key);
  const std::string expected = "a list of maps, each begins with \"-\"";
  if (!node && least > 0) Require(key, expected);
  if (node && (node->kind != Kind::kList || node->items.size() < least)) {
    WrongValue(key, *node, node->kind == Kind::kList ? "a list of at least " + std::to_string(least) : expected);
  }
  RecipeNode list{.kind = Kind::kList, .origin = node ? node->origin : RecipeOrigin::kDefault};
  for (size_t i = 0; node && i < node->items.size(); ++i) {
    const std::string path = key + "." + std::to_string(i);
    const RecipeNode& item = node->items[i];
    if (item.kind != Kind::kMap) WrongValue(path, item, "a map of keys and values");
    RecipeMap map(file_, &item, item, PathOf(path), false);
    read(map, i);
    map.Finish();
    map.kept_.text = map.label_;
    list.items.push_back(std::move(map.kept_));
  }
  kept_.keys.push_back({.text = key});
  kept_.items.push_back(std::move(list));
}

void RecipeMap::NoteUnset(const std::string& key, const std::string& meaning) {
  kept_.keys.push_back({.text = key});
  kept_.items.push_back(
      {.kind = Kind::kScalar, .text = "(" + meaning + ")", .origin = RecipeOrigin::kDefault, .written = false});
}

void RecipeMap::Name(const std::string& name) {
  label_ = name;
  path_ = path_.substr(0, path_.rfind('.') + 1) + name;
}

void RecipeMap::Finish() {
  for (size_t i = 0; node_ && i < node_->keys.size(); ++i) {
    const RecipeKey& key = node_->keys[i];
    if (std::ranges::find(known_, key.text) != known_.end()) continue;
    const RecipeNode& value = node_->items[i];
    ErrorInfo info{.what = path_.empty() ? "unknown key" : "unknown key of " + path_,
                   .found = Quoted(key.text, 80),
                   .hint = DidYouMean(key.text, known_, "the keys here are " + Joined(known_))};
    if (key.line > 0) info.where = PlaceOf(RecipeNode{.line = key.line, .column = key.column}, file_.where_);
    FailAt(value, std::move(info));
  }
  if (missing_) FailAt(at_, *missing_);
}

}  // namespace stablelm
