// The exception of the library.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string>

namespace stablelm {

// What a caller can do about an error.
enum class ErrorKind : uint8_t {
  kUsage,     // a value that the caller gave (a setting, a token id, text that is not UTF-8) or a call at a wrong time
  kNotFound,  // there is no model of this name
  kInvalidModel,   // a file of the model is damaged, incomplete or not supported, or its weights give no finite numbers
  kOutOfMemory,    // it needs more memory than there is
  kPromptTooLong,  // the prompt does not fit into the context
  kCancelled,      // by the stop token of a call that has no partial result
  kOther,          // of the machine: report it
};
const char* NameOf(ErrorKind kind);  // "usage", "not found", "invalid model", "out of memory", ...

// Every error of the library. Copies share their texts.
class ModelError : public std::exception {
 public:
  struct Parts {
    ErrorKind kind = ErrorKind::kOther;
    std::string where = {};     // location: file, tensor, setting; may be empty
    std::string what = {};      // what is wrong, in words
    std::string found = {};     // the offending value; may be empty
    std::string expected = {};  // the valid values; may be empty
    std::string hint = {};      // the next step; may be empty
  };
  explicit ModelError(Parts parts);
  ModelError(const ModelError&) noexcept;
  ModelError& operator=(const ModelError&) noexcept;
  ~ModelError() override;

  ErrorKind kind() const noexcept;
  const Parts& parts() const noexcept;
  // One line "WHERE: WHAT: found F, expected E"; a second line "hint:  H" when there is a hint. No trailing newline.
  const char* what() const noexcept override;

 private:
  struct Body;
  std::shared_ptr<const Body> body_;
};

}  // namespace stablelm
