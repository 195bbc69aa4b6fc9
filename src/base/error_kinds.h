// Errors that callers of the library handle in their own way (facade/guard.h); to the program they are plain Errors.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace stablelm {

// More memory is needed than there is.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

// The model is at fault, not the request: its weights give no finite numbers.
class InvalidModel : public Error {
 public:
  using Error::Error;
};

// The prompt does not fit into the context.
class PromptTooLong : public Error {
 public:
  using Error::Error;
};

// A JSON object has a key that is not known. The program knows what other programs mean by some of them.
class UnknownKey : public Error {
 public:
  UnknownKey(ErrorInfo info, std::string key, std::vector<std::string> known)
      : Error(std::move(info)), key_(std::move(key)), known_(std::move(known)) {}
  const std::string& key() const { return key_; }
  const std::vector<std::string>& known() const { return known_; }

 private:
  std::string key_;
  std::vector<std::string> known_;
};

}  // namespace stablelm
