#include "cli/chat/chat_pipe.h"

#include <iostream>

#include "base/error.h"
#include "base/json_value.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/chat/await_reader.h"
#include "cli/generating/conversation_input.h"

namespace stablelm {

void PipeScreen::ReplyText(std::string_view piece) {
  if (out_.json()) return;
  out_.Text(piece);
  out_.Flush();
  line_open_ = true;
}

void PipeScreen::AbandonReply() {
  if (!line_open_) return;
  out_.Text("\n");
  out_.Flush();
  line_open_ = false;
}

void PipeScreen::EndReply(const ChatReply& reply, bool kept) {
  const GenerateResult& result = reply.result;
  if (out_.json()) {
    JsonValue object = {
        {"role", "assistant"},
        {"content", result.text},
        {"finish_reason", NameOf(result.reason)},
        {"seed", reply.seed},
        {"sample", reply.sample},
        {"counts",
         {{"prompt", reply.prompt_tokens}, {"known", result.known_positions}, {"generated", result.ids.size()}}},
        {"dropped", {{"messages", reply.dropped_messages}, {"tokens", reply.dropped_tokens}}},
        {"seconds", {{"prefill", result.prefill_s}, {"decode", result.decode_s}}}};
    if (result.shifts > 0) object["shift"] = ShiftJson(result);
    out_.Json(object);
    return;
  }
  out_.Text("\n");
  out_.Flush();
  line_open_ = false;
  if (const std::string note = EndNote(reply, kept); !note.empty()) Note(note);
}

void PipeScreen::Show(const std::string& command, const std::string& text) {
  if (out_.json()) return out_.Json({{"command", command}, {"text", text}});
  out_.Text(text);
  out_.Flush();
}

void PipeScreen::Note(const std::string& text) {
  if (typed_) AwaitReader();
  out_.Note(text);
}

void PipeScreen::Answer(const std::string& text) {
  if (typed_) AwaitReader();
  out_.Answer(text);
}

void PipeScreen::Warning(const std::string& text) {
  if (typed_) AwaitReader();
  out_.Warning(text);
}

void PipeScreen::Error(const std::string& text) {
  if (typed_) AwaitReader();
  PrintError(text);
}

std::string EndNote(const ChatReply& reply, bool kept) {
  if (reply.full && reply.result.reason != FinishReason::kStop) {
    return "the reply was cut: the context is full; /reset begins anew, /set context_policy shift lets replies go on";
  }
  switch (reply.result.reason) {
    case FinishReason::kStop:
      return reply.result.text.empty() ? "the reply is empty; /regen tries again" : "";
    case FinishReason::kLength:
      return "the reply was cut after max_new_tokens; /continue goes on with it";
    case FinishReason::kContext:
      return "the reply was cut: nothing of the context can be dropped; /reset begins anew";
    case FinishReason::kCancelled:
      return kept ? "stopped; what has come is kept, /continue goes on with it"
                  : "stopped before the first word: your message is taken back";
    case FinishReason::kTime:
      return "the reply was cut: its time is over; /continue goes on with it";
  }
  STABLELM_CHECK(false);
}

bool RunPipe(ChatSession& session, PipeScreen& screen, bool replace_invalid) {
  bool refused = false;
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();  // Windows line ends
    try {
      line = CheckedUtf8(std::move(line), "standard input, line " + std::to_string(number), replace_invalid);
    } catch (const stablelm::Error& e) {
      refused = true;
      screen.Error(e.what());
      continue;
    }
    if (!session.Handle(line) || Interrupted()) break;
  }
  return refused;
}

}  // namespace stablelm
