// Helpers for tests of the library: a small tuned model, and the kind and parts of a ModelError.
#pragma once

#include <gmock/gmock.h>
#include <stablelm/stablelm.h>

#include <filesystem>
#include <functional>
#include <ostream>
#include <string>

#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {

inline void PrintTo(ErrorKind kind, std::ostream* out) { *out << NameOf(kind); }

// The parts of the ModelError that the call throws. Fails the test when it throws nothing or something else.
inline ModelError::Parts PartsOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const ModelError& error) {
    return error.parts();
  } catch (const std::exception& other) {
    ADD_FAILURE() << "not a ModelError: " << other.what();
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

inline ErrorKind KindOf(const std::function<void()>& call) { return PartsOf(call).kind; }

// Kind, place and value: the parts that say what an error is about.
inline testing::Matcher<const ModelError::Parts&> IsError(ErrorKind kind,
                                                          const testing::Matcher<const std::string&>& where,
                                                          const testing::Matcher<const std::string&>& found = "") {
  return testing::AllOf(testing::Field("kind", &ModelError::Parts::kind, kind),
                        testing::Field("where", &ModelError::Parts::where, where),
                        testing::Field("found", &ModelError::Parts::found, found));
}

inline void PrintTo(const ModelError::Parts& parts, std::ostream* out) {
  *out << "the ModelError (" << NameOf(parts.kind) << ") \"" << ModelError(parts).what() << "\"";
}

// A tuned model: context of 256 tokens, role tokens of the small tokenizer.
class TunedModel : public testing::Test {
 protected:
  TunedModel() {
    std::filesystem::copy(TestData("golden/head128_fp16"), folder_);
    std::filesystem::copy_file(TestData("tokenizer/tokenizer.json"), folder_ / "tokenizer.json");
  }
  LanguageModel Load(const LoadSettings& settings = {}) const {
    return LanguageModel::Load(folder_.string(), settings);
  }
  static ChatMessage User(std::string text) { return {.role = ChatRole::kUser, .text = std::move(text)}; }
  static ChatMessage Assistant(std::string text) { return {.role = ChatRole::kAssistant, .text = std::move(text)}; }

  const TempFolder temp_;
  const std::filesystem::path folder_ = temp_.path() / "model";
};

}  // namespace stablelm
