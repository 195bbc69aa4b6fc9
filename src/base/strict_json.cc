#include "base/strict_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/error.h"
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

}  // namespace

nlohmann::json ParseStrictJson(std::string_view text, const std::string& where, size_t max_depth) {
  const auto fail = [&](const std::string& what, const std::string& found, const std::string& expected) {
    throw Error({.where = where, .what = what, .found = found, .expected = expected});
  };
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) fail("the file is empty", {}, "JSON");
  // The parser stops at a NUL byte and would ignore the rest.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    fail("not valid JSON", "a NUL byte at " + Place(text, nul), {});
  }
  if (const size_t bad = utf8::FirstInvalid(text); bad != utf8::kValid) {
    fail("not valid UTF-8 at " + Place(text, bad), {}, {});
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
          fail("the key " + Quoted(value.get_ref<const std::string&>()) + " appears twice", {}, {});
        }
        break;
      default:
        break;
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::parse_error& e) {
    fail("not valid JSON at " + Place(text, e.byte ? e.byte - 1 : 0), {}, {});
  } catch (const Json::exception& e) {  // number out of range
    fail("not valid JSON: " + Quoted(e.what()), {}, {});
  }
  return {};
}

std::string ShownJson(const nlohmann::json& value, size_t max_bytes) {
  return Quoted(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), max_bytes);
}

}  // namespace stablelm
