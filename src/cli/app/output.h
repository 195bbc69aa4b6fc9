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
  Output(bool json, bool quiet) : json_(json), quiet_(quiet) {}

  bool json() const { return json_; }
  bool show_progress() const { return !quiet_; }  // for Progress and LoadOptions

  // Whether results may be coloured: stdout is a terminal, and neither NO_COLOR nor TERM=dumb is set.
  bool color() const;

  // Prints bytes of a result unchanged. Only without --json.
  void Text(std::string_view bytes);
  // Prints one object on one line. Only with --json. Invalid UTF-8 becomes U+FFFD; NaN and infinity become null.
  void Json(const JsonValue& object);
  // Prints one line of a result that is JSON already, with and without --json.
  void Line(std::string_view json);
  // Flushes stdout now, for streams of tokens.
  void Flush();

  // Print one line to stderr; --quiet hides notes.
  void Note(std::string_view text);
  void Warning(std::string_view text);

 private:
  bool json_;
  bool quiet_;
};

// Prints "error: ...", in red on a terminal. `text` may have a second line with a hint. Shows settings as flags
// (WithFlags).
void PrintError(std::string_view text);

}  // namespace stablelm
