#include "cli/app/setting_flags.h"

#include <algorithm>

namespace stablelm {
namespace {

constexpr struct {
  std::string_view setting, flag;
  bool set_in_chat = false;  // /set accepts it
} kSettingFlags[] = {{"cache", "--kv"},
                     {"check_weights", "--check-weights"},
                     {"context", "--context"},
                     {"context_policy", "--context-policy", true},
                     {"do_sample", "--do-sample", true},
                     {"greedy", "--greedy"},
                     {"imatrix", "--imatrix"},
                     {"invalid_utf8", "--invalid-utf8"},
                     {"lora", "--lora"},
                     {"max_kl", "--max-kl"},
                     {"output", "--output"},
                     {"probe_size", "--size"},
                     {"prompt_template", "--template"},
                     {"quantize", "--quantize"},
                     {"stop_ids", "--stop-id"},
                     {"strict", "--strict"},
                     {"temperature", "--temperature", true},
                     {"tensor", "--tensor"},
                     {"top_k", "--top-k", true},
                     {"type", "--type"},
                     {"weights", "--dtype"}};

// Replaces the names of settings in `text` with the user's words for them.
std::string Named(std::string_view text, bool in_chat) {
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find('`');
    out += text.substr(0, open);
    if (open == text.npos) break;
    text.remove_prefix(open);
    const size_t close = text.find('`', 1);
    const std::string_view inside = close == text.npos ? "" : text.substr(1, close - 1);
    const size_t equals = inside.find('=');
    const auto* found = std::find_if(std::begin(kSettingFlags), std::end(kSettingFlags),
                                     [&](const auto& one) { return one.setting == inside.substr(0, equals); });
    if (found == std::end(kSettingFlags)) {
      out += '`';
      text.remove_prefix(1);
      continue;
    }
    out += in_chat && found->set_in_chat ? "/set " + std::string(found->setting) : std::string(found->flag);
    if (equals != inside.npos) out.append(" ").append(inside.substr(equals + 1));
    text.remove_prefix(close + 1);
  }
  return out;
}

}  // namespace

std::string WithFlags(std::string_view text) { return Named(text, false); }
std::string WithChatCommands(std::string_view text) { return Named(text, true); }

}  // namespace stablelm
