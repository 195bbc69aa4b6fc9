#include "cli/terminal/html_entity.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "base/utf8.h"

namespace stablelm {
namespace {

// Those that models write.
constexpr struct {
  std::string_view name;
  char32_t code_point;
} kNamed[] = {{"amp", '&'},       {"apos", '\''},    {"bull", 0x2022},  {"cent", 0xA2},    {"copy", 0xA9},
              {"dagger", 0x2020}, {"deg", 0xB0},     {"divide", 0xF7},  {"eacute", 0xE9},  {"egrave", 0xE8},
              {"euro", 0x20AC},   {"frac12", 0xBD},  {"ge", 0x2265},    {"gt", '>'},       {"hellip", 0x2026},
              {"infin", 0x221E},  {"laquo", 0xAB},   {"larr", 0x2190},  {"ldquo", 0x201C}, {"le", 0x2264},
              {"lsquo", 0x2018},  {"lt", '<'},       {"mdash", 0x2014}, {"micro", 0xB5},   {"middot", 0xB7},
              {"minus", 0x2212},  {"nbsp", 0xA0},    {"ndash", 0x2013}, {"ne", 0x2260},    {"para", 0xB6},
              {"pi", 0x3C0},      {"plusmn", 0xB1},  {"pound", 0xA3},   {"quot", '"'},     {"raquo", 0xBB},
              {"rarr", 0x2192},   {"rdquo", 0x201D}, {"reg", 0xAE},     {"rsquo", 0x2019}, {"sect", 0xA7},
              {"sum", 0x2211},    {"times", 0xD7},   {"trade", 0x2122}, {"uuml", 0xFC},    {"yen", 0xA5}};

}  // namespace

std::string TextOfEntity(std::string_view entity) {
  std::string_view name = entity;
  if (name.starts_with('&')) name.remove_prefix(1);
  if (name.ends_with(';')) name.remove_suffix(1);
  char32_t code_point = 0;
  if (name.starts_with('#')) {
    const bool hex = name.size() > 1 && (name[1] == 'x' || name[1] == 'X');
    name.remove_prefix(hex ? 2 : 1);
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value, hex ? 16 : 10);
    const bool scalar = value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
    const bool control = value < 0x20 || (value >= 0x7F && value < 0xA0);
    if (error == std::errc() && end == name.data() + name.size() && scalar && !control) code_point = value;
  } else if (const auto* found = std::ranges::find(kNamed, name, [](const auto& one) { return one.name; });
             found != std::end(kNamed)) {
    code_point = found->code_point;
  }
  std::string text;
  if (code_point == 0) return std::string(entity);
  utf8::Append(code_point, text);
  return text;
}

}  // namespace stablelm
