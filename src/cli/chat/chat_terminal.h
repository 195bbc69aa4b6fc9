// A chat on a terminal: shows replies, and runs the loop that reads input.
#pragma once

#include <exception>

#include "cli/app/output.h"
#include "cli/app/terminal_modes.h"
#include "cli/chat/chat_session.h"
#include "cli/chat/line_editor.h"
#include "cli/terminal/echo_off.h"
#include "cli/terminal/text_rows.h"

namespace stablelm {

// Whether the terminal understands no escape sequences, as TERM says.
bool IsDumbTerminal();

struct TerminalStyle {
  bool plain = false;   // raw text: no Markdown, no word wrap
  bool status = false;  // print context use and speed after each reply
};

class TerminalScreen : public ChatScreen {
 public:
  TerminalScreen(Output& out, TerminalStyle style) : out_(out), style_(style) {}
  // The line at the start.
  void Greet(const std::string& text);
  // Shows that a reply is being computed before its first text.
  void Wait();
  void ReplyText(std::string_view piece) override;
  void EndReply(const ChatReply& reply, bool kept) override;
  void AbandonReply() override;
  void Show(const std::string& command, const std::string& text) override;
  void ShowTurns(const std::string& command, std::span<const Message> turns) override;
  void Note(const std::string& text) override;
  void Answer(const std::string& text) override;
  void Warning(const std::string& text) override;
  void Error(const std::string& text) override;
  bool color() const override { return out_.color(); }
  bool has_input_line() const override { return true; }
  // Whether $VISUAL or $EDITOR names one.
  bool has_editor() const override;
  std::optional<std::string> Edit(const std::string& text) override;

 private:
  void Draw(std::vector<std::string> rows);
  void EndRows();
  std::vector<std::string> RowsOf(std::string_view text, size_t columns) const;
  Output& out_;
  TerminalStyle style_;
  LiveRows rows_;
  std::string text_;  // the current reply so far
  bool drawn_ = false;
  size_t columns_ = 80;  // of the window in which the rows were drawn
};

struct TerminalInput {
  int terminal = 1;          // file descriptor of the terminal on which the prompt and the typed line are shown
  std::string history_file;  // empty: none
};

// The keyboard of a chat, from before the weights are loaded. Keys that are typed outside LineEditor::Read are not
// shown and wait for it. The destructor leaves the terminal as it was; when an exception ends the chat, it discards
// what was typed.
class ChatKeyboard {
 public:
  explicit ChatKeyboard(const TerminalInput& input);
  ~ChatKeyboard();
  LineEditor& editor() { return editor_; }
  int terminal() const { return terminal_; }

 private:
  const int terminal_;
  const int exceptions_ = std::uncaught_exceptions();
  const TerminalModes modes_;
  LineEditor editor_;     // sets modes of its own when it is made
  const EchoOff hidden_;  // so after it
};

// Reads and answers messages until the user leaves or another signal than Ctrl-C arrives. Returns false after such a
// signal.
bool RunTerminal(ChatSession& session, ChatScreen& screen, ChatKeyboard& keyboard);

// The default history file, in $XDG_STATE_HOME/stablelm or ~/.local/state/stablelm. Creates the folder if needed. Empty
// when there is no such folder.
std::string DefaultHistoryFile();

}  // namespace stablelm
