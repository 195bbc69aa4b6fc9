#include "base/strict_json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/file_kind.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

// Byte offset as "line 3, column 14".
std::string Place(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const size_t line = static_cast<size_t>(std::ranges::count(before, '\n')) + 1;
  const size_t start = before.rfind('\n');
  const size_t column = start == std::string_view::npos ? before.size() + 1 : before.size() - start;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

constexpr size_t kShownBytes = 24;  // of the line that is wrong

// Numbers that Python writes but JSON does not have.
struct NonFinite {
  std::string_view name;
  double value;
};
constexpr NonFinite kNonFinite[] = {{"NaN", std::numeric_limits<double>::quiet_NaN()},
                                    {"-Infinity", -std::numeric_limits<double>::infinity()},
                                    {"Infinity", std::numeric_limits<double>::infinity()}};

// A text with those numbers in the form of strings: the name after a NUL character, which the parser's callback turns
// into the number.
class WithoutNonFinite {
 public:
  WithoutNonFinite(std::string_view text, HugeNumbers huge) : huge_(huge) {
    bool in_string = false;
    for (size_t i = 0; i < text.size();) {
      const Number number = in_string ? Number{} : At(text.substr(i));
      if (!number.name.empty()) {
        text_.append("\"\\u0000").append(number.name).append("\"");
        i += number.bytes;
        replaced_.push_back({.end = text_.size(), .begin = i});
        continue;
      }
      if (in_string && text[i] == '\\' && i + 1 < text.size()) {
        text_ += text[i++];
      } else if (text[i] == '"') {
        in_string = !in_string;
      }
      // The rest of a number, an exponent say, is not the start of another.
      const size_t copied = in_string ? 1 : std::max<size_t>(NumberBytes(text.substr(i)), 1);
      text_.append(text.substr(i, copied));
      i += copied;
    }
  }

  const std::string& text() const { return text_; }
  // The offset in the original of an offset in text().
  size_t Original(size_t offset) const {
    const auto after = std::ranges::upper_bound(replaced_, offset, {}, &Replaced::end);
    return after == replaced_.begin() ? offset : offset - std::prev(after)->end + std::prev(after)->begin;
  }
  static void TurnBack(Json& value) {
    if (!value.is_string()) return;
    const auto& text = value.get_ref<const std::string&>();
    for (const NonFinite& number : kNonFinite) {
      if (text.size() == number.name.size() + 1 && text[0] == '\0' && text.ends_with(number.name)) {
        value = number.value;
        return;
      }
    }
  }

 private:
  struct Number {
    std::string_view name;  // of kNonFinite; empty: none
    size_t bytes = 0;       // in the original
  };
  struct Replaced {
    size_t end;    // of the string, in text_
    size_t begin;  // of what follows, in the original
  };

  static size_t NumberBytes(std::string_view rest) {
    return rest.substr(0, 1).find_first_of("-0123456789") != 0
               ? 0
               : std::min(rest.find_first_not_of("+-.eE0123456789"), rest.size());
  }

  Number At(std::string_view rest) const {
    for (const NonFinite& number : kNonFinite) {
      if (rest.starts_with(number.name)) return {number.name, number.name.size()};
    }
    if (huge_ == HugeNumbers::kRefused) return {};
    const std::string token(rest.substr(0, NumberBytes(rest)));
    constexpr size_t kMinDigits = 309;  // of a whole number that is too large
    if (token.find_first_of("eE") == std::string::npos && token.size() < kMinDigits) return {};
    const double value = IsNumber(token) ? std::strtod(token.c_str(), nullptr) : 0;
    if (!std::isinf(value)) return {};
    return {value > 0 ? "Infinity" : "-Infinity", token.size()};
  }

  // The grammar of JSON's numbers: strtod takes more.
  static bool IsNumber(std::string_view text) {
    const auto digits = [&] {
      const size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
      text.remove_prefix(count);
      return count;
    };
    const auto skip = [&](std::string_view any) {
      const bool is = !text.empty() && any.find(text[0]) != std::string_view::npos;
      if (is) text.remove_prefix(1);
      return is;
    };
    skip("-");
    const bool zero = text.starts_with('0');
    if (const size_t whole = digits(); whole == 0 || (zero && whole > 1)) return false;
    if (skip(".") && digits() == 0) return false;
    if (skip("eE") && (skip("+-"), digits() == 0)) return false;
    return text.empty();
  }

  const HugeNumbers huge_;
  std::string text_;
  std::vector<Replaced> replaced_;
};

}  // namespace

nlohmann::json ParseStrictJson(std::string_view text, const std::string& where, size_t max_depth, HugeNumbers huge) {
  const auto fail = [&](const std::string& what, const std::string& found, const std::string& expected,
                        const std::string& hint = {}) {
    throw Error({.where = where, .what = what, .found = found, .expected = expected, .hint = hint});
  };
  // A file of another kind is named as what it is. Text is not: it may be JSON with a slip.
  const auto fail_syntax = [&, whole = text](const std::string& what, const std::string& found,
                                             const std::string& hint = {}) {
    if (KindOf(whole) != FileKind::kText) RefuseOtherKind(where, whole, FileKind::kJson);
    fail(what, found, {}, hint);
  };
  utf8::DropByteOrderMark(text);
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    fail("the file is empty", {}, "JSON", "copy or download it again");
  }
  // The parser stops at a NUL byte and would ignore the rest.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    fail_syntax("not valid JSON", "a NUL byte at " + Place(text, nul),
                "remove it; in a file it is a sign of damage: copy or download it again");
  }
  if (const size_t bad = utf8::FirstInvalid(text); bad != utf8::kValid) {
    fail_syntax("not valid UTF-8 at " + Place(text, bad), {}, "save the file as UTF-8");
  }

  std::vector<std::set<std::string>> keys;  // keys seen so far in each open object
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (static_cast<size_t>(depth) > max_depth) {
      fail("JSON nested too deeply", {}, "at most " + std::to_string(max_depth) + " levels");
    }
    switch (event) {
      case Json::parse_event_t::object_start:
        keys.emplace_back();
        break;
      case Json::parse_event_t::object_end:
        keys.pop_back();
        break;
      case Json::parse_event_t::key:
        if (!keys.back().insert(value.get_ref<const std::string&>()).second) {
          fail("the key " + Quoted(value.get_ref<const std::string&>()) + " appears twice", {}, {},
               "leave one of them out");
        }
        break;
      case Json::parse_event_t::value:
        WithoutNonFinite::TurnBack(value);
        break;
      default:
        break;
    }
    return true;
  };
  const WithoutNonFinite standard(text, huge);
  try {
    return Json::parse(standard.text().begin(), standard.text().end(), watch);
  } catch (const Json::parse_error& e) {
    if (e.byte > standard.text().size()) {
      throw Error({.where = where,
                   .what = "not valid JSON: it ends at " + Place(text, text.size()) + ", before it is complete",
                   .hint = "it was cut off: copy or download it again"});
    }
    const size_t at = std::min(standard.Original(e.byte ? e.byte - 1 : 0), text.size());
    const std::string_view line = text.substr(at, text.substr(at).find_first_of("\r\n"));
    fail_syntax("not valid JSON at " + Place(text, at),
                line.empty() ? "the end of the line" : Quoted(line, kShownBytes),
                "JSON has names and texts in double quotes, a comma between values and none behind the last");
  } catch (const Json::exception& e) {  // number overflow parsing '1e999'
    const std::string_view said = e.what();
    const size_t begin = said.find('\''), end = said.rfind('\'');
    const bool shown = begin != std::string_view::npos && end > begin;
    fail("not valid JSON: a number is too large", shown ? Quoted(said.substr(begin + 1, end - begin - 1), 60) : "",
         "at most about 1.8e308, the range of double precision");
  }
  return {};
}

void RequireStrictJson(std::string_view text, const std::string& where) { ParseStrictJson(text, where); }

std::string ShownJson(const nlohmann::json& value, size_t max_bytes) {
  if (value.is_string()) return Quoted(value.get_ref<const std::string&>(), max_bytes);
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    return std::isnan(value.get<double>()) ? "NaN" : value.get<double>() > 0 ? "Infinity" : "-Infinity";
  }
  const std::string quoted = Quoted(JsonText(value), max_bytes);  // escaped and truncated
  return quoted.substr(1, quoted.size() - 2);
}

std::string JsonText(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

JsonValue JsonValueOf(const nlohmann::json& value) {
  switch (value.type()) {
    case Json::value_t::boolean:
      return value.get<bool>();
    case Json::value_t::number_integer:
      return value.get<int64_t>();
    case Json::value_t::number_unsigned:
      return value.get<uint64_t>();
    case Json::value_t::number_float:
      return value.get<double>();
    case Json::value_t::string:
      return value.get_ref<const std::string&>();
    case Json::value_t::array: {
      JsonValue array = JsonValue::Array();
      for (const Json& item : value) array.push_back(JsonValueOf(item));
      return array;
    }
    case Json::value_t::object: {
      JsonValue object = JsonValue::Object();
      for (const auto& [name, member] : value.get_ref<const Json::object_t&>()) {
        object.Append(name, JsonValueOf(member));
      }
      return object;
    }
    default:
      return nullptr;
  }
}

}  // namespace stablelm
