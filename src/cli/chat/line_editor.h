// Reads lines from a terminal with editing, history, completion and multi-line paste. Uses libedit, which honours
// ~/.editrc (vi keys and so on).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/terminal/completion.h"

namespace stablelm {

struct LineEditorOptions {
  int terminal = 1;          // the file descriptor to write to
  std::string history_file;  // read at the start, appended to by every Remember; empty: none
  // `line` ends at the cursor.
  std::function<Completion(const std::string& line)> complete;
};

// One editor at a time; standard input and options.terminal must be the same terminal. Sets the process's locale to a
// UTF-8 one, which libedit needs. The constructor changes the terminal's modes; Read restores those it finds. Reads
// bracketed pastes, which the caller turns on (TerminalModes).
class LineEditor {
 public:
  explicit LineEditor(LineEditorOptions options);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class End {
    kLine,
    kInterrupted,
    kEnd
  };  // kInterrupted: a signal (cli/app/interrupt.h); kEnd: Ctrl-D, or no input
  // Reads one line without its line end; pasted text may contain several lines. `\1` in the prompt encloses characters
  // without width; libedit drops those after the last visible character. The line begins with `draft`.
  End Read(const std::string& prompt, std::string& line, const std::string& draft = {});
  // Adds to the history. Ignores a history file that cannot be written.
  void Remember(const std::string& text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stablelm
