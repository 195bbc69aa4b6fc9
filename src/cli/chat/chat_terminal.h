// A chat on a terminal: what replies look like, and the loop that reads what is typed.
#pragma once

#include "cli/app/output.h"
#include "cli/chat/chat_session.h"
#include "cli/terminal/echo_off.h"
#include "cli/terminal/line_editor.h"
#include "cli/terminal/text_rows.h"

namespace stablelm {

struct TerminalStyle {
  bool plain = false;   // text as it comes: no Markdown, no word wrap
  bool status = false;  // a line after each reply: context used, speed
};

class TerminalScreen : public ChatScreen {
 public:
  TerminalScreen(Output& out, TerminalStyle style) : out_(out), style_(style) {}
  // Something is computed, and no text is there yet.
  void Wait();
  void ReplyText(std::string_view piece) override;
  void EndReply(const ChatReply& reply, bool kept) override;
  void AbandonReply() override;
  void Show(const std::string& command, const std::string& text) override;
  void Note(const std::string& text) override;
  void Warning(const std::string& text) override;
  void Error(const std::string& text) override;
  bool color() const override { return out_.color(); }
  // Opens $VISUAL or $EDITOR.
  std::optional<std::string> Edit(const std::string& text) override;

 private:
  void Draw(std::vector<std::string> rows);
  void EndRows();
  Output& out_;
  TerminalStyle style_;
  LiveRows rows_;
  std::optional<EchoOff> typing_hidden_;  // while a reply comes
  std::string text_;                      // of the reply that is coming
  bool drawn_ = false;
  size_t width_ = 0;
};

// Reads and answers until the user leaves or a signal other than Ctrl-C comes. Returns false after such a signal.
bool RunTerminal(ChatSession& session, TerminalScreen& screen, const std::string& history_file);

// Where the history is kept unless the user says otherwise: in $XDG_STATE_HOME/stablelm or ~/.local/state/stablelm,
// which is made when it is not there; empty when there is no such place.
std::string DefaultHistoryFile();

}  // namespace stablelm
