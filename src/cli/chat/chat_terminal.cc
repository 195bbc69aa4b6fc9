#include "cli/chat/chat_terminal.h"

#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/chat/chat_pipe.h"
#include "cli/terminal/markdown_rows.h"
#include "cli/terminal/visible_text.h"

namespace stablelm {
namespace {

struct Window {
  size_t columns = 80, rows = 24;
};

Window WindowNow() {
  winsize size = {};
  Window window;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
    window = {.columns = size.ws_col, .rows = size.ws_row};
  }
  return window;
}

std::string StatusLine(const ChatReply& reply) {
  const auto generated = static_cast<int64_t>(reply.result.ids.size());
  char text[160];
  const int n = std::snprintf(text, sizeof text, "[%lld of %lld positions, first token after %.2f s",
                              static_cast<long long>(reply.prompt_tokens + generated - reply.result.shifted_tokens),
                              static_cast<long long>(reply.context), reply.result.prefill_s);
  std::string line(text, static_cast<size_t>(n));
  if (generated > 1 && reply.result.decode_s > 0) {
    std::snprintf(text, sizeof text, ", %.1f tokens/s", static_cast<double>(generated - 1) / reply.result.decode_s);
    line += text;
  }
  return line + "]";
}

}  // namespace

void TerminalScreen::Draw(std::vector<std::string> rows) {
  out_.Text(rows_.Update(std::move(rows), WindowNow().rows));
  out_.Flush();
  drawn_ = true;
}

void TerminalScreen::EndRows() {
  if (drawn_) out_.Text("\n");
  out_.Flush();
  rows_.Leave();
  typing_hidden_.reset();
  text_.clear();
  drawn_ = false;
}

void TerminalScreen::Wait() {
  typing_hidden_.emplace();
  // Leave one column free: after writing the last column a terminal's cursor is between two rows.
  width_ = std::max<size_t>(WindowNow().columns, 9) - 1;
  if (!style_.plain) Draw({color() ? "\033[2m...\033[0m" : "..."});
}

void TerminalScreen::ReplyText(std::string_view piece) {
  text_ += piece;
  if (style_.plain) {
    out_.Text(Visible(piece));
    out_.Flush();
    drawn_ = true;
    return;
  }
  const size_t width = std::max<size_t>(WindowNow().columns, 9) - 1;
  if (width < width_) {  // the terminal has re-wrapped the rows; continue below them
    out_.Text("\n");
    rows_.Leave();
    width_ = width;
  }
  Draw(MarkdownRows(Visible(text_), width_, color()));
}

void TerminalScreen::EndReply(const ChatReply& reply, bool kept) {
  if (!style_.plain && reply.result.text.empty()) Draw({""});
  EndRows();
  if (const std::string note = EndNote(reply, kept); !note.empty()) out_.Note(note);
  if (!style_.status) return;
  out_.Text((color() ? "\033[2m" : "") + StatusLine(reply) + (color() ? "\033[0m" : "") + "\n");
  out_.Flush();
}

void TerminalScreen::AbandonReply() {
  if (!style_.plain && text_.empty()) Draw({""});
  EndRows();
}

void TerminalScreen::Show(const std::string&, const std::string& text) {
  out_.Text(text);
  out_.Flush();
}

void TerminalScreen::Note(const std::string& text) { out_.Note(Visible(text)); }
void TerminalScreen::Warning(const std::string& text) { out_.Warning(Visible(text)); }
void TerminalScreen::Error(const std::string& text) { PrintError(Visible(text)); }

std::optional<std::string> TerminalScreen::Edit(const std::string& text) {
  const char* editor = std::getenv("VISUAL");
  if (!editor || !*editor) editor = std::getenv("EDITOR");
  if (!editor || !*editor) return std::nullopt;
  std::string path = (std::filesystem::temp_directory_path() / "stablelm-message-XXXXXX.txt").string();
  const int fd = mkstemps(path.data(), 4);
  if (fd < 0) return std::nullopt;
  close(fd);
  std::ofstream(path, std::ios::binary) << text;
  // The variable may contain options ("code --wait"), so run it through the shell.
  const std::string command = std::string(editor) + " \"$1\"";
  char* const arguments[] = {const_cast<char*>("sh"),
                             const_cast<char*>("-c"),
                             const_cast<char*>(command.c_str()),
                             const_cast<char*>("sh"),
                             path.data(),
                             nullptr};
  pid_t child = 0;
  int status = -1;
  const bool ran = posix_spawnp(&child, "sh", nullptr, nullptr, arguments, environ) == 0 &&
                   waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  std::ifstream file(path, std::ios::binary);
  std::string edited((std::istreambuf_iterator<char>(file)), {});
  std::filesystem::remove(path);
  if (edited.ends_with('\n')) edited.pop_back();  // editors add a final line end
  if (!ran || edited == text) return std::nullopt;
  return edited;
}

std::string DefaultHistoryFile() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state && *state == '/') {
    folder = state;
  } else if (home && *home == '/') {
    folder = std::filesystem::path(home) / ".local" / "state";
  } else {
    return {};
  }
  folder /= "stablelm";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  return failed ? std::string() : (folder / "chat_history").string();
}

bool RunTerminal(ChatSession& session, TerminalScreen& screen, const std::string& history_file) {
  LineEditor editor({.history_file = history_file, .completions = &ChatSession::Completions});
  // \1 encloses characters without width.
  const std::string prompt = screen.color() ? "\1\033[1;32m\1> \1\033[0m\1" : "> ";
  const std::string more = screen.color() ? "\1\033[32m\1. \1\033[0m\1" : ". ";
  MessageLines message;
  bool may_leave = false;  // the last input was Ctrl-C
  for (;;) {
    std::string line;
    const LineEditor::End end = editor.Read(message.open() ? more : prompt, line);
    if (end == LineEditor::End::kEnd) return true;
    if (end == LineEditor::End::kInterrupted) {
      if (!ForgetInterrupt()) return false;
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
    const bool go_on = session.Handle(text);
    if (Interrupted() && !ForgetInterrupt()) return false;
    if (!go_on) return true;
  }
}

}  // namespace stablelm
