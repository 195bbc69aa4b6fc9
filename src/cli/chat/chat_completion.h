// Names that the chat's commands accept, for completion.
#pragma once

namespace stablelm {

// Names that /set accepts besides the generation settings.
inline constexpr const char* kChatSettings[] = {"seed", "preset", "reserve", "context_policy"};

}  // namespace stablelm
