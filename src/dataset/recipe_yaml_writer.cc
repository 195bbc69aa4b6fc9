// Writes recipes as YAML: maps and lists of maps in blocks, lists of scalars on one line.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "base/utf8.h"
#include "dataset/recipe_yaml.h"

namespace stablelm {
namespace {

using Kind = RecipeNode::Kind;

// Letters, digits and a few marks that mean nothing in YAML, with spaces between.
bool IsPlainText(std::string_view text) {
  const auto is_inside = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_./+-~() ").find(c) != std::string_view::npos;
  };
  if (text.empty() || text.size() > 200 || text.starts_with("...")) return false;
  return text.back() != ' ' && std::string_view(" -~").find(text.front()) == std::string_view::npos &&
         std::ranges::all_of(text, is_inside);
}

// Code points that YAML must have escaped, or that an editor would not show.
bool NeedsEscape(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0xAD || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF || c == 0xFFFE || c == 0xFFFF;
}

std::string InQuotes(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const utf8::Decoded d = utf8::DecodeOne(text);
    if (d.code_point == '"' || d.code_point == '\\') {
      out += '\\';
      out += text[0];
    } else if (d.code_point == '\n') {
      out += "\\n";
    } else if (d.code_point == '\t') {
      out += "\\t";
    } else if (NeedsEscape(d.code_point)) {
      char escape[16];
      std::snprintf(escape, sizeof escape, "\\u%04X", static_cast<unsigned>(d.code_point));
      out += escape;
    } else {
      out.append(text.substr(0, d.bytes));
    }
    text.remove_prefix(d.bytes);
  }
  return out + "\"";
}

// Texts of several lines that a literal block can hold: nothing to escape, no first line that the indentation of the
// block would be guessed from wrongly.
bool FitsBlock(std::string_view text) {
  if (text.find('\n') == std::string_view::npos || text.front() == '\n' || text.front() == ' ' ||
      text.ends_with("\n\n")) {
    return false;
  }
  while (!text.empty()) {
    const utf8::Decoded d = utf8::DecodeOne(text);
    if (d.code_point != '\n' && NeedsEscape(d.code_point)) return false;
    text.remove_prefix(d.bytes);
  }
  return true;
}

std::string ScalarText(const RecipeNode& node) {
  if (node.kind == Kind::kNull) return "null";
  const bool means_more = IsNullWord(node.text) || IsFlagWord(node.text) || IsNumberWord(node.text);
  if (means_more) return node.quoted ? InQuotes(node.text) : node.text;
  return IsPlainText(node.text) ? node.text : InQuotes(node.text);
}

bool HasOnlyLeaves(const RecipeNode& list) {
  return std::ranges::all_of(
      list.items, [](const RecipeNode& one) { return one.kind == Kind::kNull || one.kind == Kind::kScalar; });
}

class YamlWriter {
 public:
  explicit YamlWriter(bool origins) : origins_(origins) {}
  std::string Take() { return std::move(out_); }

  void Map(const RecipeNode& map, size_t indent, bool first_is_indented = false) {
    for (size_t i = 0; i < map.items.size(); ++i) {
      const RecipeNode& value = map.items[i];
      if (!value.written && (!origins_ || value.kind == Kind::kMap)) continue;
      if (!first_is_indented) out_.append(indent, ' ');
      first_is_indented = false;
      const std::string key = ScalarText({.kind = Kind::kScalar, .text = map.keys[i].text, .quoted = true}) + ":";
      if (value.written) {
        out_ += key;
        Value(value, indent);
      } else {
        out_ += "# " + key + " " + value.text + "\n";
      }
    }
  }

 private:
  // After "key:" or "-", to the end of the line and what follows it.
  void Value(const RecipeNode& value, size_t indent) {
    if (value.kind == Kind::kMap && HasWritten(value)) {
      out_ += "\n";
      Map(value, indent + 2);
    } else if (value.kind == Kind::kList && !HasOnlyLeaves(value)) {
      out_ += "\n";
      for (const RecipeNode& item : value.items) {
        out_.append(indent + 2, ' ').append("-");
        const bool is_map = item.kind == Kind::kMap && HasWritten(item) && item.items.front().written;
        if (is_map) out_ += " ";
        is_map ? Map(item, indent + 4, true) : Value(item, indent + 2);
      }
    } else if (value.kind == Kind::kScalar && FitsBlock(value.text)) {
      Block(value, indent + 2);
    } else {
      out_ += " " + RecipeValueText(value);
      if (origins_ && value.origin != RecipeOrigin::kRecipe) out_.append("  # ").append(NameOf(value.origin));
      out_ += "\n";
    }
  }
  void Block(const RecipeNode& value, size_t indent) {
    std::string_view text = value.text;
    out_ += text.ends_with('\n') ? " |" : " |-";
    if (origins_ && value.origin != RecipeOrigin::kRecipe) out_.append("  # ").append(NameOf(value.origin));
    out_ += "\n";
    if (text.ends_with('\n')) text.remove_suffix(1);
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      if (end > begin) out_.append(indent, ' ').append(text.substr(begin, end - begin));
      out_ += "\n";
      begin = end + 1;
    }
  }
  bool HasWritten(const RecipeNode& map) const {
    return std::ranges::any_of(map.items, [&](const RecipeNode& one) { return one.written; });
  }

  bool origins_;
  std::string out_;
};

}  // namespace

bool IsNullWord(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

bool IsFlagWord(std::string_view text) {
  constexpr std::array<std::string_view, 6> kWords = {"true", "True", "TRUE", "false", "False", "FALSE"};
  return std::ranges::find(kWords, text) != kWords.end();
}

bool IsNumberWord(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  if (text.empty() || !(text.front() == '.' || (text.front() >= '0' && text.front() <= '9'))) return false;
  if (text == ".inf" || text == ".nan") return true;
  if (text.starts_with("0x") || text.starts_with("0o")) {
    return text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
  }
  double value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error != std::errc::invalid_argument && end == text.data() + text.size();
}

std::string WriteRecipeYaml(const RecipeNode& top, bool origins) {
  YamlWriter writer(origins);
  writer.Map(top, 0);
  return writer.Take();
}

std::string RecipeValueText(const RecipeNode& value) {
  if (value.kind == Kind::kNull || value.kind == Kind::kScalar) return ScalarText(value);
  std::string out;
  for (size_t i = 0; i < value.items.size(); ++i) {
    if (!value.items[i].written) continue;
    if (!out.empty()) out += ", ";
    if (value.kind == Kind::kMap) {
      out += ScalarText({.kind = Kind::kScalar, .text = value.keys[i].text, .quoted = true}) + ": ";
    }
    out += RecipeValueText(value.items[i]);
  }
  return value.kind == Kind::kMap ? "{" + out + "}" : "[" + out + "]";
}

}  // namespace stablelm
