// Prints what a command has to say. Results go to stdout; notes, warnings and progress go to stderr. With --json,
// stdout carries one JSON object per line and nothing else.
#pragma once

#include <string_view>

#include "base/json_value.h"

namespace stablelm {

// Thrown when the reader of stdout has closed the pipe: the program ends quietly, as other tools do.
struct BrokenPipe {};

// For one thread. Throws Error when stdout cannot be written (a full disk), BrokenPipe when its reader has gone.
class Output {
 public:
  Output(bool json, bool quiet);

  bool json() const { return json_; }
  bool show_progress() const { return !quiet_; }  // for Progress and LoadOptions

  // Whether results may be coloured (ColorOn).
  bool color() const;

  // Prints a result. Only without --json. Files and pipes get the bytes unchanged. On a terminal control characters are
  // shown (visible_text.h), so that no text of a model or file acts on it; `text` must be whole characters there.
  void Text(std::string_view text);
  // Prints bytes unchanged, on a terminal too: our own escape sequences around text that is already visible.
  void Styled(std::string_view bytes);
  // Prints one object on one line. Only with --json. Invalid UTF-8 becomes U+FFFD; NaN and infinity become null. On a
  // terminal DEL and C1 control characters are escaped too.
  void Json(const JsonValue& object);
  // Prints one line of a result that is JSON already, with and without --json.
  void Line(std::string_view json);
  // Flushes stdout now, for streams of tokens.
  void Flush();

  // Print one line to stderr; --quiet hides notes. On a terminal control characters are shown, and lines that are wider
  // than the window are wrapped by words.
  void Note(std::string_view text);
  void Warning(std::string_view text);
  // A note that was asked for: shown with --quiet too.
  void Answer(std::string_view text);

 private:
  bool json_;
  bool quiet_;
  bool terminal_;  // stdout
};

// Whether to colour what is written to `fd`: a terminal, unless NO_COLOR is set or TERM is dumb or unset.
bool ColorOn(int fd);

// Prints "error: ...", in red on a terminal, there as Note and Warning do. `text` may have a second line with a hint.
// Shows settings as flags (WithFlags).
void PrintError(std::string_view text);

}  // namespace stablelm
