// Translates the names of settings into the program's flags. Messages of lower floors name a setting as the library
// does, in backquotes: `stop_ids`, `cache=fp32`. The program shows --stop-id and --kv fp32 instead.
#pragma once

#include <string>
#include <string_view>

namespace stablelm {

// Replaces the settings in `text` with flags. Other text in backquotes stays.
std::string WithFlags(std::string_view text);

// The same inside a chat, where flags can no longer be given: writes /set context_policy stop if /set has the setting.
std::string WithChatCommands(std::string_view text);

}  // namespace stablelm
