// A chat without a terminal: one line in, one reply out.
#pragma once

#include "cli/app/output.h"
#include "cli/chat/chat_session.h"

namespace stablelm {

// Streams each reply to stdout and ends it with a line end; with --json prints one object per reply. The output of
// slash commands goes to stdout too, everything else to stderr.
class PipeScreen : public ChatScreen {
 public:
  // `typed`: the lines come from a person at a keyboard, while stdout is a file or pipe.
  explicit PipeScreen(Output& out, bool typed = false) : out_(out), typed_(typed) {}
  void ReplyText(std::string_view piece) override;
  void EndReply(const ChatReply& reply, bool kept) override;
  void AbandonReply() override;
  void Show(const std::string& command, const std::string& text) override;
  void Note(const std::string& text) override;
  void Answer(const std::string& text) override;
  void Warning(const std::string& text) override;
  void Error(const std::string& text) override;
  bool has_input_line() const override { return typed_; }

 private:
  Output& out_;
  const bool typed_;
  bool line_open_ = false;
};

// The text of a note about an unusual end of a reply and what to do; empty for a usual one.
std::string EndNote(const ChatReply& reply, bool kept);

// Feeds the lines of standard input to the session until end of input, /exit or a signal that stops a reply. Refuses
// lines that are not UTF-8, or repairs them when `replace_invalid`. Returns whether it refused a line.
bool RunPipe(ChatSession& session, PipeScreen& screen, bool replace_invalid);

}  // namespace stablelm
