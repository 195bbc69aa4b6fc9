// A chat without a terminal: one line in, one reply out.
#pragma once

#include "cli/app/output.h"
#include "cli/chat/chat_session.h"

namespace stablelm {

// Replies go to standard output as they come, each with a line end after it, or with --json as one object each; what
// commands show goes there too, everything else to standard error.
class PipeScreen : public ChatScreen {
 public:
  explicit PipeScreen(Output& out) : out_(out) {}
  void ReplyText(std::string_view piece) override;
  void EndReply(const ChatReply& reply, bool kept) override;
  void AbandonReply() override;
  void Show(const std::string& command, const std::string& text) override;
  void Note(const std::string& text) override { out_.Note(text); }
  void Warning(const std::string& text) override { out_.Warning(text); }
  void Error(const std::string& text) override;

 private:
  Output& out_;
  bool line_open_ = false;
};

// What is unusual about the end of a reply, for a note; empty when nothing is.
std::string EndNote(const ChatReply& reply, bool kept);

// Feeds the lines of standard input to the session until the end, an /exit or a signal that stopped a reply. Lines that
// are not UTF-8 are refused, or repaired when `replace_invalid`. Returns whether a line was refused.
bool RunPipe(ChatSession& session, PipeScreen& screen, bool replace_invalid);

}  // namespace stablelm
