// Errors that callers of the library handle in their own way (facade/guard.h); to the program they are plain Errors.
#pragma once

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

}  // namespace stablelm
