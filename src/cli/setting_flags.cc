#include "cli/setting_flags.h"

#include <algorithm>

namespace stablelm {
namespace {

constexpr struct {
  std::string_view setting, flag;
} kFlags[] = {{"cache", "--kv"},
              {"check_weights", "--check-weights"},
              {"context_policy", "--context-policy"},
              {"greedy", "--greedy"},
              {"invalid_utf8", "--invalid-utf8"},
              {"output", "--output"},
              {"prompt_template", "--template"},
              {"quantize", "--quantize"},
              {"stop_ids", "--stop-id"},
              {"strict", "--strict"},
              {"temperature", "--temperature"},
              {"tensor", "--tensor"},
              {"top_k", "--top-k"},
              {"weights", "--dtype"}};

}  // namespace

std::string WithFlags(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find('`');
    out += text.substr(0, open);
    if (open == text.npos) break;
    text.remove_prefix(open);
    const size_t close = text.find('`', 1);
    const std::string_view inside = close == text.npos ? "" : text.substr(1, close - 1);
    const size_t equals = inside.find('=');
    const auto* found = std::find_if(std::begin(kFlags), std::end(kFlags),
                                     [&](const auto& one) { return one.setting == inside.substr(0, equals); });
    if (found == std::end(kFlags)) {
      out += '`';
      text.remove_prefix(1);
      continue;
    }
    out += found->flag;
    if (equals != inside.npos) out.append(" ").append(inside.substr(equals + 1));
    text.remove_prefix(close + 1);
  }
  return out;
}

}  // namespace stablelm
