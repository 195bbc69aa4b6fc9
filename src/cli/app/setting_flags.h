// Settings as the program's flags. The floors below name a setting as the library calls it, in backquotes: `stop_ids`,
// `cache=fp32`; what the program shows has --stop-id and --kv fp32 in their place.
#pragma once

#include <string>
#include <string_view>

namespace stablelm {

// The text with flags for the settings. What else stands in backquotes stays.
std::string WithFlags(std::string_view text);

// For somebody in a chat, who cannot give flags any more: /set context_policy stop, where /set knows the setting.
std::string WithChatCommands(std::string_view text);

}  // namespace stablelm
