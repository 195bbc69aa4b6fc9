// The public exception (stablelm/error.h) and the version.
#include "base/error.h"
#include "stablelm/stablelm.h"

namespace stablelm {

struct ModelError::Body {
  Parts parts;
  std::string text;
};

ModelError::ModelError(Parts parts) {
  const Error line(
      {.where = parts.where, .what = parts.what, .found = parts.found, .expected = parts.expected, .hint = parts.hint});
  body_ = std::make_shared<const Body>(Body{.parts = std::move(parts), .text = line.what()});
}
ModelError::ModelError(const ModelError&) noexcept = default;
ModelError& ModelError::operator=(const ModelError&) noexcept = default;
ModelError::~ModelError() = default;
ErrorKind ModelError::kind() const noexcept { return body_->parts.kind; }
const ModelError::Parts& ModelError::parts() const noexcept { return body_->parts; }
const char* ModelError::what() const noexcept { return body_->text.c_str(); }

const char* NameOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return "usage";
    case ErrorKind::kNotFound:
      return "not found";
    case ErrorKind::kInvalidModel:
      return "invalid model";
    case ErrorKind::kOutOfMemory:
      return "out of memory";
    case ErrorKind::kPromptTooLong:
      return "prompt too long";
    case ErrorKind::kCancelled:
      return "cancelled";
    case ErrorKind::kOther:
      return "other";
  }
  STABLELM_CHECK(false);
}

#define STABLELM_TEXT_OF(x) #x
#define STABLELM_DOTTED(major, minor, patch) \
  STABLELM_TEXT_OF(major) "." STABLELM_TEXT_OF(minor) "." STABLELM_TEXT_OF(patch)
const char* Version() {
  return STABLELM_DOTTED(STABLELM_VERSION_MAJOR, STABLELM_VERSION_MINOR, STABLELM_VERSION_PATCH);
}

}  // namespace stablelm
