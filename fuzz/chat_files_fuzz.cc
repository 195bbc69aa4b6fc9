// Parses any bytes as a list of messages, a chat record and a generation_config.json: each is read or refused with an
// Error. A chat record that was read must survive writing and reading again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "prompt/chat_record.h"
#include "prompt/conversation.h"
#include "prompt/generation_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stablelm;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    CheckConversation(ParseMessages(text, "fuzz"), "read");
  } catch (const Error& error) {
    STABLELM_CHECK(error.info().where.rfind("read", 0) != 0);
  }
  try {
    const ChatRecord record = ParseChatRecord(text, "fuzz");
    STABLELM_CHECK(ParseChatRecord(WriteChatRecord(record), "written") == record);
  } catch (const Error& error) {
    STABLELM_CHECK(error.info().where.rfind("written", 0) != 0);
  }
  try {
    ParseGenerationConfig(text, "fuzz", 1000);
  } catch (const Error&) {
  }
  try {
    ParseLegacyGenerationKeys(text, "fuzz", 1000);
  } catch (const Error&) {
  }
  return 0;
}
