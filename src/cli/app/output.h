// What a command prints. Results go to stdout; everything else (notes, warnings, progress) goes to stderr. With --json
// stdout carries exactly one JSON object per line and nothing else.
#pragma once

#include <string_view>

#include "base/json_value.h"

namespace stablelm {

// Thrown when the reader of stdout has gone away (a closed pipe): the program ends quietly, as other tools do.
struct BrokenPipe {};

// For one thread. Throws Error when stdout cannot be written (a full disk), BrokenPipe when nobody reads it.
class Output {
 public:
  Output(bool json, bool quiet) : json_(json), quiet_(quiet) {}

  bool json() const { return json_; }
  bool show_progress() const { return !quiet_; }  // for Progress and LoadOptions

  // Whether a result may be coloured: stdout is a terminal that has not asked for none (NO_COLOR, TERM=dumb).
  bool color() const;

  // Bytes of a result, as they are. Only without --json.
  void Text(std::string_view bytes);
  // One object, one line. Only with --json. Bytes that are not UTF-8 become U+FFFD; NaN and infinity become null.
  void Json(const JsonValue& object);
  // Hands what was printed to the system now: for streams of tokens.
  void Flush();

  // One line each on stderr; notes are left out with --quiet.
  void Note(std::string_view text);
  void Warning(std::string_view text);

 private:
  bool json_;
  bool quiet_;
};

// "error: ..." in red on a terminal; `text` may carry a second line with a hint. Settings are shown as flags
// (WithFlags).
void PrintError(std::string_view text);

}  // namespace stablelm
