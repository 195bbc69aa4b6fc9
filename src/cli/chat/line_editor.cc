#include "cli/chat/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
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
#include "cli/app/terminal_modes.h"
#include "cli/app/visible_text.h"
#include "cli/terminal/columns.h"
#include "cli/terminal/graphemes.h"
#include "cli/terminal/input_history.h"
#include "cli/terminal/key_decoder.h"
#include "cli/terminal/text_rows.h"

namespace stablelm {
namespace {

constexpr int kHistoryLines = 1000;
constexpr int kPollMs = 250;   // delay until a new window size is noticed
constexpr int kEscapeMs = 50;  // delay after which an escape is the key and no sequence

// Keys that only this file sends to libedit, from the C1 control characters, which no terminal sends for a key. The
// name of the function that each is bound to.
enum Key : wchar_t { kPaste = 0x90, kJoin, kDraft, kWordLeft, kWordRight, kHome, kEnd };
struct Binding {
  Key key;
  const wchar_t* function;
};
constexpr Binding kBindings[] = {
    {kPaste, L"paste-text"},       {kJoin, L"join-grapheme"},  {kDraft, L"insert-draft"}, {kWordLeft, L"ed-prev-word"},
    {kWordRight, L"em-next-word"}, {kHome, L"ed-move-to-beg"}, {kEnd, L"ed-move-to-end"}};

}  // namespace

struct LineEditor::State {
  LineEditorOptions options;
  GraphemeCells cells;  // libedit edits these instead of code points
  FILE* stream = nullptr;
  EditLine* editor = nullptr;
  HistoryW* history = nullptr;
  std::wstring prompt;
  bool interrupted = false;
  winsize size = {};
  KeyDecoder decoder;
  std::wstring keys;     // to give to libedit next
  std::string inserted;  // by kPaste
  std::string draft;     // by kDraft
  char32_t joined = 0;   // by kJoin

  static State& Of(EditLine* editor) {
    State* state = nullptr;
    el_wget(editor, EL_CLIENTDATA, &state);
    return *state;
  }

  static wchar_t* Prompt(EditLine* editor) { return Of(editor).prompt.data(); }

  winsize WindowSize() const {
    winsize now = {};
    ioctl(options.terminal, TIOCGWINSZ, &now);
    return now;
  }

  void Print(const std::string& text) const {
    std::fputs(text.c_str(), stream);
    std::fflush(stream);
  }

  // Gives the decoder what was typed before Ctrl-Z. Returns whether there was anything.
  bool AddTyped() {
    bool any = false;
    for (; const std::optional<char> byte = TakeTyped(); any = true) decoder.Add(*byte);
    return any;
  }

  // Waits for a byte and gives it to the decoder. Returns 1, 0 at end of input, -1 after an interrupt, or 2 when no
  // byte came for a while.
  int Wait() {
    for (;;) {
      if (Interrupted()) {
        interrupted = true;
        return -1;
      }
      if (TakeResumed()) {
        Print("\r\033[J");
        el_wset(editor, EL_REFRESH);
      }
      if (AddTyped()) return 1;
      pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
      const int ready = poll(&wait, 1, decoder.pending() ? kEscapeMs : kPollMs);
      if (AddTyped()) return 1;  // Ctrl-Z came during the poll and has left nothing to read
      if (ready > 0) {
        char byte = 0;
        if (read(STDIN_FILENO, &byte, 1) != 1) return 0;
        AddTyped();
        decoder.Add(byte);
        return 1;
      }
      if (const winsize now = WindowSize(); now.ws_col != size.ws_col || now.ws_row != size.ws_row) {
        size = now;
        el_resize(editor);
        Print("\r\033[J");  // libedit redraws the line but leaves the old one
        el_wset(editor, EL_REFRESH);
      }
      if (ready == 0 && decoder.pending()) return 2;
    }
  }

  // Adds the keys to give to libedit for a key of the terminal.
  void Translate(const TerminalKey& key) {
    using Kind = TerminalKey::Kind;
    switch (key.kind) {
      case Kind::kSequence:
        for (const char c : key.text) keys += static_cast<wchar_t>(c);
        return;
      case Kind::kPaste:
        inserted = key.text;
        keys += kPaste;
        return;
      case Kind::kWordLeft:
        keys += kWordLeft;
        return;
      case Kind::kWordRight:
        keys += kWordRight;
        return;
      case Kind::kHome:
        keys += kHome;
        return;
      case Kind::kEnd:
        keys += kEnd;
        return;
      case Kind::kCharacter:
        break;
    }
    const LineInfoW* info = el_wline(editor);
    if (info->cursor > info->buffer && cells.Joins(info->cursor[-1], key.code_point)) {
      joined = key.code_point;
      keys += kJoin;
    } else if (key.code_point >= 0x80 && key.code_point < 0xA0) {
      keys += L'\uFFFD';
    } else {
      std::string text;
      utf8::Append(key.code_point, text);
      keys += cells.Encode(text);
    }
  }

  static int Character(EditLine* editor, wchar_t* out) {
    State& state = Of(editor);
    for (bool idle = false; state.keys.empty();) {
      if (const std::optional<TerminalKey> key = state.decoder.Next(idle)) {
        state.Translate(*key);
        continue;
      }
      const int got = state.Wait();
      if (got <= 0) return got;
      idle = got == 2;
    }
    *out = state.keys.front();
    state.keys.erase(0, 1);
    return 1;
  }

  unsigned char Insert(const std::string& text) {
    if (!text.empty() && el_winsertstr(editor, cells.Encode(text).c_str()) != 0) return CC_ERROR;
    return CC_REFRESH;
  }
  static unsigned char Paste(EditLine* editor, wint_t) {
    return Of(editor).Insert(std::exchange(Of(editor).inserted, {}));
  }
  static unsigned char Draft(EditLine* editor, wint_t) {
    return Of(editor).Insert(std::exchange(Of(editor).draft, {}));
  }

  // Replaces the grapheme before the cursor by itself and one more code point.
  static unsigned char Join(EditLine* editor, wint_t) {
    State& state = Of(editor);
    const LineInfoW* info = el_wline(editor);
    if (info->cursor == info->buffer) return CC_ERROR;
    std::string text = state.cells.Decode({info->cursor - 1, 1});
    utf8::Append(state.joined, text);
    el_wdeletestr(editor, 1);
    return state.Insert(text);
  }

  static unsigned char Complete(EditLine* editor, wint_t) {
    State& state = Of(editor);
    const LineInfoW* info = el_wline(editor);
    const std::string line = state.cells.Decode({info->buffer, static_cast<size_t>(info->cursor - info->buffer)});
    if (!line.starts_with("/") || !state.options.complete) return CC_ERROR;
    const Completion found = state.options.complete(line);
    if (found.words.empty()) return CC_ERROR;
    std::string common = found.words.front();
    for (const std::string& word : found.words) {
      common.resize(static_cast<size_t>(std::ranges::mismatch(common, word).in1 - common.begin()));
    }
    while (utf8::FirstInvalid(common) != utf8::kValid) common.pop_back();
    if (const size_t typed = line.size() - found.from; common.size() > typed) {
      return state.Insert(common.substr(typed));
    }
    if (found.words.size() == 1) return CC_NORM;
    std::vector<std::string> names;
    for (const std::string& word : found.words) {
      const size_t slash = word.find_last_of('/', word.size() - 2);  // of the path, not the one at its end
      std::string name = Visible(slash == std::string::npos || slash == 0 ? word : word.substr(slash + 1));
      if (name.ends_with(' ')) name.pop_back();
      names.push_back(std::move(name));
    }
    state.Print("\n" + InColumns(names, WindowOf(state.options.terminal).columns));
    el_wset(editor, EL_REFRESH);
    return CC_NORM;
  }
};

LineEditor::LineEditor(LineEditorOptions options) : state_(std::make_unique<State>()) {
  setlocale(LC_CTYPE, "C.UTF-8");
  State& state = *state_;
  state.options = std::move(options);
  state.size = state.WindowSize();
  state.stream = state.cells.OpenStream(state.options.terminal);
  state.history = history_winit();
  STABLELM_CHECK(state.stream && state.history);
  state.editor =
      el_init_fd("stablelm", stdin, state.stream, stderr, STDIN_FILENO, state.options.terminal, STDERR_FILENO);
  STABLELM_CHECK(state.editor);
  HistEventW event;
  history_w(state.history, &event, H_SETSIZE, kHistoryLines);
  history_w(state.history, &event, H_SETUNIQUE, 1);
  if (!state.options.history_file.empty()) {
    for (const std::string& entry : LoadHistory(state.options.history_file, kHistoryLines)) {
      history_w(state.history, &event, H_ENTER, state.cells.Encode(entry).c_str());
    }
  }
  EditLine* editor = state.editor;
  el_wset(editor, EL_CLIENTDATA, state_.get());
  el_wset(editor, EL_EDITOR, L"emacs");
  el_wset(editor, EL_HIST, history_w, state.history);
  el_wset(editor, EL_GETCFN, &State::Character);
  el_wset(editor, EL_PROMPT_ESC, &State::Prompt, L'\1');
  el_wset(editor, EL_ADDFN, L"paste-text", L"insert what is pasted", &State::Paste);
  el_wset(editor, EL_ADDFN, L"join-grapheme", L"add a mark to the character before", &State::Join);
  el_wset(editor, EL_ADDFN, L"insert-draft", L"insert the text that the line begins with", &State::Draft);
  el_wset(editor, EL_ADDFN, L"complete-word", L"complete a command of the chat", &State::Complete);
  // A pasted CR LF must not arrive as two line ends, and Ctrl-C discards no key.
  el_wset(editor, EL_SETTY, L"-d", L"-icrnl", L"-inlcr", L"+noflsh", nullptr);
  el_wset(editor, EL_BIND, L"^W", L"ed-delete-prev-word", nullptr);
  el_source(editor, nullptr);
  // After ~/.editrc, which may choose other maps; -a: the map of vi's commands.
  for (const Binding& one : kBindings) {
    const wchar_t key[] = {one.key, L'\0'};
    el_wset(editor, EL_BIND, key, one.function, nullptr);
    el_wset(editor, EL_BIND, L"-a", key, one.function, nullptr);
  }
  el_wset(editor, EL_BIND, L"\t", L"complete-word", nullptr);
}

LineEditor::~LineEditor() {
  el_end(state_->editor);
  history_wend(state_->history);
  std::fclose(state_->stream);
}

LineEditor::End LineEditor::Read(const std::string& prompt, std::string& line, const std::string& draft) {
  const InterruptGuard guard;
  State& state = *state_;
  state.prompt = state.cells.Encode(prompt);
  state.interrupted = false;
  TakeResumed();
  if (!draft.empty()) {
    state.draft = draft;
    state.keys.insert(0, 1, kDraft);
  }
  termios before = {};
  const bool known = tcgetattr(STDIN_FILENO, &before) == 0;
  el_wset(state.editor, EL_PREP_TERM, 1);  // el_wgets does so only after the prompt; a key before that would be lost
  int count = 0;
  const wchar_t* text = el_wgets(state.editor, &count);
  if (known) tcsetattr(STDIN_FILENO, TCSADRAIN, &before);  // el_wgets leaves modes of its own
  if (!text || count <= 0) {
    state.Print("\n");
    return state.interrupted ? End::kInterrupted : End::kEnd;
  }
  std::wstring_view whole(text, static_cast<size_t>(count));
  if (whole.ends_with(L'\n')) whole.remove_suffix(1);
  line = state.cells.Decode(whole);
  return End::kLine;
}

void LineEditor::Remember(const std::string& text) {
  HistEventW event;
  history_w(state_->history, &event, H_ENTER, state_->cells.Encode(text).c_str());
  if (!state_->options.history_file.empty()) AppendHistory(state_->options.history_file, text);
}

}  // namespace stablelm
