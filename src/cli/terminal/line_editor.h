// Reads lines from a terminal with editing, history, completion and multi-line paste. Uses libedit, which honours
// ~/.editrc (vi keys and so on).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stablelm {

struct LineEditorOptions {
  std::string history_file;  // read at the start, written by every Remember; empty: none
  // Completions of a line's beginning, as whole lines.
  std::function<std::vector<std::string>(const std::string& line)> completions;
};

// One editor at a time; standard input and output must be terminals. Sets the process's locale to a UTF-8 one, which
// libedit needs. Restores the terminal's modes between calls of Read.
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
  // Reads one line without its line end; pasted text may contain several lines.
  End Read(const std::string& prompt, std::string& line);
  // Adds to the history. Ignores a history file that cannot be written.
  void Remember(const std::string& text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Joins lines into one message: """ begins and ends a multi-line text, a \ at the end of a line continues it.
class MessageLines {
 public:
  // Returns whether the message is complete; Take then returns it.
  bool Add(const std::string& line);
  bool open() const { return !text_.empty() || quoted_; }  // inside a message
  std::string Take();                                      // returns the message and resets the state

 private:
  std::string text_;
  bool quoted_ = false;
};

}  // namespace stablelm
