// Reading lines from a person at a terminal: editing, history, completion, pasting of several lines. libedit behind it
// (~/.editrc holds: vi keys and so on).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stablelm {

struct LineEditorOptions {
  std::string history_file;  // read at the start, written after every Remember; empty: none
  // Whole lines that could stand in place of a beginning.
  std::function<std::vector<std::string>(const std::string& line)> completions;
};

// One at a time, for standard input and output, which are terminals. Puts the process into a UTF-8 locale, which
// libedit needs. Between calls of Read the terminal is as it was.
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
  // One line without its end; a pasted text may hold several.
  End Read(const std::string& prompt, std::string& line);
  // Adds to the history. A file that cannot be written is no error.
  void Remember(const std::string& text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Lines that make one message: """ begins and ends a text of several lines, a \ at the end of a line goes on.
class MessageLines {
 public:
  // Returns whether the message is complete; text() is then the message.
  bool Add(const std::string& line);
  bool open() const { return !text_.empty() || quoted_; }  // in the middle of a message
  std::string Take();                                      // the message; everything is as new

 private:
  std::string text_;
  bool quoted_ = false;
};

}  // namespace stablelm
