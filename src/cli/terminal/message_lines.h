// Joins lines of input into one message.
#pragma once

#include <string>

namespace stablelm {

// """ begins and ends a multi-line text, a \ at the end of a line continues it.
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
