#include "cli/chat/chat_terminal.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "base/ascii.h"
#include "base/error.h"
#include "base/home_folder.h"
#include "base/system.h"
#include "cli/app/help_page.h"
#include "cli/app/interrupt.h"
#include "cli/app/visible_text.h"
#include "cli/chat/await_reader.h"
#include "cli/chat/chat_pipe.h"
#include "cli/terminal/markdown_rows.h"
#include "cli/terminal/message_lines.h"
#include "cli/terminal/text_rows.h"

namespace stablelm {
namespace {

constexpr const char* kDim = "\033[2m";

// The prompt of a line. Only "> " is coloured; the cursor comes after the reset.
std::string PromptFor(bool color, bool more) {
  const std::string mark = more ? "." : ">";
  return color ? (more ? "\033[32m" : "\033[1;32m") + mark + kEndOfStyle + " " : mark + " ";
}

// The same for LineEditor.
std::string EditorPrompt(bool color, bool more) {
  std::string prompt;
  for (const char c : PromptFor(color, more)) {
    if (c == '\033') prompt += '\1';
    prompt += c;
    if (c == 'm') prompt += '\1';
  }
  return prompt;
}

std::string EditorCommand() {
  for (const char* name : {"VISUAL", "EDITOR"}) {
    if (const char* value = std::getenv(name); value && *value) return value;
  }
  return {};
}

// The text of /help. Its indented lines are commands of the shell.
std::string WrappedHelp(std::string_view text, size_t columns) {
  std::string out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    out += line.starts_with(' ') ? WrappedCommand(std::string(line), columns - 1)
                                 : WrappedLines(std::string(line) + "\n", columns);
  }
  return out;
}

std::string StatusLine(const ChatReply& reply) {
  const auto generated = static_cast<int64_t>(reply.result.ids.size());
  std::string line = "context " + std::to_string(reply.prompt_tokens + generated - reply.result.shifted_tokens) +
                     " of " + std::to_string(reply.context);
  if (generated > 1 && reply.result.decode_s > 0) {
    line += ", " + Rounded(static_cast<double>(generated - 1) / reply.result.decode_s, 1) + " tokens/s";
  }
  return line;
}

}  // namespace

bool IsDumbTerminal() {
  const char* term = std::getenv("TERM");
  return !term || !*term || std::string_view(term) == "dumb";
}

void TerminalScreen::Draw(std::vector<std::string> rows) {
  out_.Styled(rows_.Update(std::move(rows), {.columns = columns_, .rows = WindowOf(STDOUT_FILENO).rows}));
  out_.Flush();
  drawn_ = true;
}

void TerminalScreen::EndRows() {
  if (drawn_) out_.Styled("\n");
  out_.Flush();
  rows_.Leave();
  text_.clear();
  drawn_ = false;
}

std::vector<std::string> TerminalScreen::RowsOf(std::string_view text, size_t columns) const {
  return MarkdownRows(Visible(text), TextWidth({.columns = columns}), color());
}

void TerminalScreen::Greet(const std::string& text) {
  if (!style_.status) return;
  for (const std::string& row :
       LayOutRows({{.text = Visible(text), .style = {}}}, TextWidth(WindowOf(STDOUT_FILENO)))) {
    out_.Styled(row + "\n");
  }
  out_.Flush();
}

void TerminalScreen::Wait() {
  columns_ = WindowOf(STDOUT_FILENO).columns;
  out_.Styled("\n");
  if (!style_.plain) Draw({color() ? std::string(kDim) + "..." + kEndOfStyle : "..."});
}

void TerminalScreen::ReplyText(std::string_view piece) {
  text_ += piece;
  if (style_.plain) {
    out_.Text(piece);
    out_.Flush();
    drawn_ = true;
    return;
  }
  const size_t columns = WindowOf(STDOUT_FILENO).columns;
  const bool resumed = TakeResumed();
  if (columns < columns_ || resumed) {  // the rows are no longer where they were; continue below them
    if (!resumed) out_.Styled("\n");
    rows_.Leave();
    columns_ = columns;
  }
  Draw(RowsOf(text_, columns_));
}

void TerminalScreen::EndReply(const ChatReply& reply, bool kept) {
  if (!style_.plain && text_.empty()) Draw({""});
  EndRows();
  if (style_.status && kept) {
    const std::string status = StatusLine(reply);
    out_.Styled(color() ? kDim + status + kEndOfStyle + "\n" : "[" + status + "]\n");
    out_.Flush();
  }
  if (const std::string note = EndNote(reply, kept); !note.empty()) Note(note);
}

void TerminalScreen::AbandonReply() {
  if (!style_.plain && text_.empty()) Draw({""});
  EndRows();
}

void TerminalScreen::Show(const std::string& command, const std::string& text) {
  const Window window = WindowOf(STDOUT_FILENO);
  if (command == "/system") {
    for (const std::string& row :
         LayOutRows({{.text = text.substr(0, text.size() - 1), .style = {}}}, TextWidth(window))) {
      out_.Styled(row + "\n");
    }
  } else if (command == "/help") {
    out_.Styled(WrappedHelp(text, window.columns));
  } else {
    out_.Styled(command == "/prompt" ? text : WrappedLines(text, window.columns));
  }
  out_.Flush();
}

void TerminalScreen::ShowTurns(const std::string&, std::span<const Message> turns) {
  const Window window = WindowOf(STDOUT_FILENO);
  std::string out;
  for (const Message& message : turns) {
    out += "\n";
    std::vector<std::string> rows;
    if (message.role == Role::kUser) {
      rows = LayOutRows({{.text = Visible(message.text), .style = {}}}, TextWidth(window), PromptFor(color(), false),
                        "  ");
    } else {
      rows = style_.plain ? std::vector{Visible(message.text)} : RowsOf(message.text, window.columns);
    }
    for (const std::string& row : rows) out += row + "\n";
  }
  out_.Styled(out);
  out_.Flush();
}

void TerminalScreen::Note(const std::string& text) { out_.Note(text); }
void TerminalScreen::Answer(const std::string& text) { out_.Answer(text); }
void TerminalScreen::Warning(const std::string& text) { out_.Warning(text); }
void TerminalScreen::Error(const std::string& text) { PrintError(text); }

bool TerminalScreen::has_editor() const { return !EditorCommand().empty(); }

std::optional<std::string> TerminalScreen::Edit(const std::string& text) {
  const std::string editor = EditorCommand();
  if (editor.empty()) return std::nullopt;
  std::string path = (std::filesystem::temp_directory_path() / "stablelm-message-XXXXXX.txt").string();
  const int fd = mkstemps(path.data(), 4);
  if (fd < 0) return std::nullopt;
  close(fd);
  std::ofstream(path, std::ios::binary) << text;
  // The variable may contain options ("code --wait"), so run it through the shell.
  const std::string command = editor + " \"$1\"";
  char* const arguments[] = {const_cast<char*>("sh"),
                             const_cast<char*>("-c"),
                             const_cast<char*>(command.c_str()),
                             const_cast<char*>("sh"),
                             path.data(),
                             nullptr};
  pid_t child = 0;
  int status = -1;
  std::optional<TerminalLoan> lent(std::in_place);
  const bool ran = posix_spawnp(&child, "sh", nullptr, nullptr, arguments, environ) == 0 &&
                   waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  lent.reset();
  std::ifstream file(path, std::ios::binary);
  std::string edited((std::istreambuf_iterator<char>(file)), {});
  std::filesystem::remove(path);
  DropLineEnd(edited);  // editors add one
  if (!ran || edited == text) return std::nullopt;
  return edited;
}

std::string DefaultHistoryFile() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const std::string home = HomeFolder();
  std::filesystem::path folder;
  if (state && *state == '/') {
    folder = state;
  } else if (home.starts_with('/')) {
    folder = std::filesystem::path(home) / ".local" / "state";
  } else {
    return {};
  }
  folder /= "stablelm";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  return failed ? std::string() : (folder / "chat_history").string();
}

// Bracketed paste is on during replies too: what is pasted then is one message.
ChatKeyboard::ChatKeyboard(const TerminalInput& input)
    : terminal_(input.terminal),
      modes_(input.terminal, IsDumbTerminal() ? "" : "\033[?2004h", IsDumbTerminal() ? "" : "\033[?2004l"),
      editor_({.terminal = input.terminal, .history_file = input.history_file, .complete = &ChatSession::Complete}) {}

ChatKeyboard::~ChatKeyboard() {
  if (std::uncaught_exceptions() > exceptions_) DiscardTyped();
}

bool RunTerminal(ChatSession& session, ChatScreen& screen, ChatKeyboard& keyboard) {
  LineEditor& editor = keyboard.editor();
  const bool color = ColorOn(keyboard.terminal());
  const auto print = [&](std::string_view text) {
    static_cast<void>(write(keyboard.terminal(), text.data(), text.size()) + 1);
  };
  MessageLines message;
  bool may_leave = false;  // the last input was Ctrl-C
  bool air = true;         // an empty row between turns
  for (;;) {
    std::string line;
    if (isatty(STDOUT_FILENO) != 1) AwaitReader();
    if (std::exchange(air, false)) print("\n");
    const LineEditor::End end = editor.Read(EditorPrompt(color, message.open()), line, session.TakeDraft());
    if (end == LineEditor::End::kEnd) return true;
    if (end == LineEditor::End::kInterrupted) {
      if (!ForgetInterrupt()) return DiscardTyped(), false;
      if (may_leave) return true;
      message.Take();
      screen.Note("Ctrl-C again, Ctrl-D or /exit leaves");
      may_leave = true;
      continue;
    }
    may_leave = false;
    if (!message.Add(line)) continue;
    const std::string text = message.Take();
    if (text.find_first_not_of(" \t\n") == std::string::npos) continue;
    editor.Remember(text);
    bool go_on = false;
    try {
      go_on = session.Handle(text);
    } catch (const BrokenPipe&) {
      print("\n");  // the reply that stands there has no end
      screen.Error(stablelm::Error({.where = "standard output",
                                    .what = "the program that read it has ended",
                                    .hint = "after \"| tee -i FILE\" Ctrl-C only stops the reply"})
                       .what());
      throw;
    }
    if (Interrupted() && !ForgetInterrupt()) return DiscardTyped(), false;
    if (!go_on) return true;
    air = true;
  }
}

}  // namespace stablelm
