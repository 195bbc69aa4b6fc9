// stablelm as a library: load a model, turn text into ids and back, continue, score.
//
//   #include <stablelm/stablelm.h>          // CMake: target_link_libraries(app PRIVATE stablelm::stablelm)
//
//   const stablelm::LanguageModel model = stablelm::LanguageModel::Load("models/stablelm-3b");
//   model.Generate(model.Tokenize("Once upon a time"), {.max_new_tokens = 50},
//                  [](const stablelm::NewToken& token) { return std::cout << token.text << std::flush, true; });
//
// Every failure is an exception derived from std::exception whose what() says where, what was found, what was expected
// and what to do next. Only standard types are used here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

enum class WeightType : uint8_t { kStored, kFp32, kFp16, kBf16 };
enum class CacheType : uint8_t { kFp32, kFp16 };

struct LoadSettings {
  unsigned threads = 0;                      // 0: the physical cores; results do not depend on it
  WeightType weights = WeightType::kStored;  // kStored uses the files in place, by mmap
  CacheType cache = CacheType::kFp32;        // of keys and values
  bool check_weights = false;                // refuse NaN and infinity
};

struct GenerationSettings {
  std::optional<int64_t> max_new_tokens = {};  // empty: up to the end of the model's context
  double temperature = 0;                      // 0: greedy
  int64_t top_k = 0;                           // 0: all
  double top_p = 1;                            // 1: all
  std::optional<uint64_t> seed = {};           // empty: random
  bool ignore_end = false;                     // never choose an end token
};

struct NewToken {
  int32_t id = 0;
  double logprob = 0;  // natural logarithm, under the model's unchanged logits
  // What the token completes: whole characters, often none or several; empty for the end token and without a tokenizer.
  std::string_view text;  // valid during the call
};

enum class EndReason : uint8_t { kStop, kLength, kContext, kCancelled, kTime };

struct Generation {
  std::vector<int32_t> ids;      // the end token included
  std::vector<double> logprobs;  // of each
  std::string text;              // without the end token
  EndReason reason = EndReason::kLength;
  uint64_t seed = 0;  // the same seed gives the same tokens again
};

// Immutable weights with a pool of threads. Several models can live in one process. Generate and Score of one object
// are for one thread at a time; Tokenize and Detokenize for any.
class LanguageModel {
 public:
  // A folder in Hugging Face's layout, or a hub id that is in the Hugging Face cache.
  static LanguageModel Load(const std::string& path_or_hub_id, const LoadSettings& settings = {});
  LanguageModel(LanguageModel&&) noexcept;
  LanguageModel& operator=(LanguageModel&&) noexcept;
  ~LanguageModel();

  int64_t vocab_size() const;
  int64_t context_length() const;
  bool has_tokenizer() const;  // without one, everything works on ids
  const std::vector<std::string>& warnings() const;

  // Special tokens such as "<|USER|>" are plain text unless parse_special.
  std::vector<int32_t> Tokenize(std::string_view text, bool parse_special = false) const;
  std::string Detokenize(std::span<const int32_t> ids) const;

  // Called with every token as it is chosen; false ends the generation (EndReason::kCancelled).
  using OnToken = std::function<bool(const NewToken&)>;
  Generation Generate(std::span<const int32_t> prompt, const GenerationSettings& settings = {},
                      const OnToken& on_token = {}) const;

  // ln p(ids[t + 1] | ids[0 .. t]): one fewer than ids.
  std::vector<double> Score(std::span<const int32_t> ids) const;

 private:
  struct Body;
  explicit LanguageModel(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace stablelm
