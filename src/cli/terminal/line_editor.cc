#include "cli/terminal/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cwchar>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "cli/app/interrupt.h"

namespace stablelm {
namespace {

constexpr int kHistoryLines = 1000;
constexpr int kPollMs = 250;  // delay until a new window size is noticed
constexpr std::wstring_view kPasteEnd = L"\033[201~";

// wchar_t is UTF-32 here.
std::wstring Wide(std::string_view text) {
  std::wstring wide;
  while (!text.empty()) {
    const utf8::Decoded one = utf8::DecodeOne(text);
    wide += static_cast<wchar_t>(one.code_point);
    text.remove_prefix(one.bytes);
  }
  return wide;
}

std::string Narrow(std::wstring_view wide) {
  std::string text;
  for (const wchar_t c : wide) utf8::Append(static_cast<char32_t>(c), text);
  return text;
}

winsize WindowSize() {
  winsize size = {};
  ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
  return size;
}

}  // namespace

struct LineEditor::State {
  LineEditorOptions options;
  EditLine* editor = nullptr;
  HistoryW* history = nullptr;
  std::wstring prompt;
  bool interrupted = false;
  winsize size = WindowSize();
  std::string bytes;  // of an incomplete character

  static State& Of(EditLine* editor) {
    State* state = nullptr;
    el_wget(editor, EL_CLIENTDATA, &state);
    return *state;
  }

  static wchar_t* Prompt(EditLine* editor) { return Of(editor).prompt.data(); }

  // Waits for a byte. Returns 1, 0 at end of input, or -1 after an interrupt.
  int Byte(char& byte) {
    for (;;) {
      if (Interrupted()) {
        interrupted = true;
        return -1;
      }
      pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
      const int ready = poll(&wait, 1, kPollMs);
      if (const winsize now = WindowSize(); now.ws_col != size.ws_col || now.ws_row != size.ws_row) {
        size = now;
        el_resize(editor);
        std::fputs("\r\033[J", stdout);  // libedit redraws the line but leaves the old one
        el_wset(editor, EL_REFRESH);
      }
      if (ready > 0) return read(STDIN_FILENO, &byte, 1) == 1 ? 1 : 0;
    }
  }

  static int Character(EditLine* editor, wchar_t* out) {
    State& state = Of(editor);
    for (;;) {
      char byte = 0;
      if (const int got = state.Byte(byte); got != 1) return got;
      state.bytes += byte;
      const utf8::Decoded one = utf8::DecodeOne(state.bytes);
      if (!one.valid && one.incomplete) continue;
      *out = static_cast<wchar_t>(one.code_point);
      state.bytes.clear();
      return 1;
    }
  }

  // Inserts everything up to the end of the paste as text, line ends included.
  static unsigned char Paste(EditLine* editor, wint_t) {
    std::wstring text;
    wchar_t c = 0;
    while (!text.ends_with(kPasteEnd) && el_wgetc(editor, &c) == 1) text += c == L'\r' ? L'\n' : c;
    if (text.ends_with(kPasteEnd)) text.resize(text.size() - kPasteEnd.size());
    while (text.ends_with(L'\n')) text.pop_back();
    for (wchar_t& one : text) {
      if (one < L' ' && one != L'\n') one = L' ';
    }
    if (!text.empty() && el_winsertstr(editor, text.c_str()) != 0) return CC_ERROR;
    return CC_REFRESH;
  }

  static unsigned char Complete(EditLine* editor, wint_t) {
    State& state = Of(editor);
    const LineInfoW* info = el_wline(editor);
    const std::string line = Narrow({info->buffer, static_cast<size_t>(info->cursor - info->buffer)});
    if (!line.starts_with("/") || !state.options.completions) return CC_ERROR;
    const std::vector<std::string> found = state.options.completions(line);
    if (found.empty()) return CC_ERROR;
    std::string common = found.front();
    for (const std::string& one : found) {
      common.resize(static_cast<size_t>(std::ranges::mismatch(common, one).in1 - common.begin()));
    }
    if (common.size() > line.size()) {
      el_winsertstr(editor, Wide(common.substr(line.size())).c_str());
      return CC_REFRESH;
    }
    if (found.size() == 1) return CC_NORM;
    std::string list = "\n";
    for (const std::string& one : found) list += one + "\n";
    std::fwrite(list.data(), 1, list.size(), stdout);
    std::fflush(stdout);
    return CC_REDISPLAY;
  }
};

LineEditor::LineEditor(LineEditorOptions options) : state_(std::make_unique<State>()) {
  setlocale(LC_CTYPE, "C.UTF-8");
  state_->options = std::move(options);
  state_->history = history_winit();
  state_->editor = el_init("stablelm", stdin, stdout, stderr);
  STABLELM_CHECK(state_->editor && state_->history);
  HistEventW event;
  history_w(state_->history, &event, H_SETSIZE, kHistoryLines);
  history_w(state_->history, &event, H_SETUNIQUE, 1);
  if (!state_->options.history_file.empty()) {
    history_w(state_->history, &event, H_LOAD, state_->options.history_file.c_str());
  }
  EditLine* editor = state_->editor;
  el_wset(editor, EL_CLIENTDATA, state_.get());
  el_wset(editor, EL_EDITOR, L"emacs");
  el_wset(editor, EL_HIST, history_w, state_->history);
  el_wset(editor, EL_GETCFN, &State::Character);
  el_wset(editor, EL_PROMPT_ESC, &State::Prompt, L'\1');
  el_wset(editor, EL_ADDFN, L"paste-text", L"insert what is pasted", &State::Paste);
  el_wset(editor, EL_ADDFN, L"complete-command", L"complete a command of the chat", &State::Complete);
  el_wset(editor, EL_BIND, L"\033[200~", L"paste-text", nullptr);
  el_wset(editor, EL_BIND, L"\t", L"complete-command", nullptr);
  el_source(editor, nullptr);
}

LineEditor::~LineEditor() {
  el_end(state_->editor);
  history_wend(state_->history);
}

LineEditor::End LineEditor::Read(const std::string& prompt, std::string& line) {
  const InterruptGuard guard;
  state_->prompt = Wide(prompt);
  state_->interrupted = false;
  std::fputs("\033[?2004h", stdout);  // turn on bracketed paste
  std::fflush(stdout);
  int count = 0;
  const wchar_t* text = el_wgets(state_->editor, &count);
  std::fputs(text ? "\033[?2004l" : "\033[?2004l\n", stdout);
  std::fflush(stdout);
  if (!text || count <= 0) return state_->interrupted ? End::kInterrupted : End::kEnd;
  std::wstring_view whole(text, static_cast<size_t>(count));
  if (whole.ends_with(L'\n')) whole.remove_suffix(1);
  line = Narrow(whole);
  return End::kLine;
}

void LineEditor::Remember(const std::string& text) {
  HistEventW event;
  history_w(state_->history, &event, H_ENTER, Wide(text).c_str());
  const std::string& file = state_->options.history_file;
  if (file.empty()) return;
  const mode_t before = umask(077);  // the history is private: readable by its owner only
  history_w(state_->history, &event, H_SAVE, file.c_str());
  umask(before);
}

bool MessageLines::Add(const std::string& line) {
  constexpr std::string_view kQuotes = "\"\"\"";
  if (quoted_) {
    const size_t end = line.find(kQuotes);
    text_ += line.substr(0, end);
    if (end != std::string::npos) {
      if (end == 0 && text_.ends_with('\n')) text_.pop_back();
      quoted_ = false;
      return true;
    }
    text_ += '\n';
    return false;
  }
  if (text_.empty() && line.starts_with(kQuotes)) {
    const std::string rest = line.substr(kQuotes.size());
    if (const size_t end = rest.find(kQuotes); end != std::string::npos) {  // opened and closed on one line
      text_ = rest.substr(0, end);
      return true;
    }
    quoted_ = true;
    text_ = rest.empty() ? "" : rest + "\n";
    return false;
  }
  if (line.ends_with('\\')) {
    text_ += line.substr(0, line.size() - 1) + "\n";
    return false;
  }
  text_ += line;
  return true;
}

std::string MessageLines::Take() {
  quoted_ = false;
  return std::exchange(text_, {});
}

}  // namespace stablelm
