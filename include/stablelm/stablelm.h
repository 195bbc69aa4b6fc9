// The stablelm library: load a model, chat, continue a text, tokenize and detokenize, score.
//
//   #include <stablelm/stablelm.h>          // CMake: target_link_libraries(app PRIVATE stablelm::stablelm)
//
//   stablelm::LanguageModel model = stablelm::LanguageModel::Load("models/stablelm-tuned-3b");
//   model.Chat({{.text = "What's your mood today?"}}, {},
//              {.on_text = [](std::string_view text) { return std::cout << text << std::flush, true; }});
//
// Defaults come from the model's files, else from its model card: prompt template, generation settings, stop tokens.
// The command-line program uses the same defaults (docs/prompting.md).
//
// Errors are exceptions derived from std::exception; what() says where, what was found, what was expected and what to
// do next. This header uses only standard types.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

enum class WeightType : uint8_t { kStored, kFp32, kFp16, kBf16 };
enum class CacheType : uint8_t { kFp32, kFp16, kQ8 };
enum class ComputeMode : uint8_t { kExact, kFast };

struct LoadSettings {
  unsigned threads = 0;                      // 0: number of physical cores; results do not depend on it
  WeightType weights = WeightType::kStored;  // kStored: as stored; maps the files (mmap) where possible
  CacheType cache = CacheType::kFp32;        // of the key-value cache; kQ8: 8-bit integers
  // Arithmetic of products with fp32, fp16 and bf16 weights. kFast rounds weights (in memory) and activations to bf16,
  // which costs some accuracy (docs/compute.md). Quantized weights ignore it.
  ComputeMode compute = ComputeMode::kExact;
  int64_t chat_context = 0;    // tokens of prompt and reply that Chat's cache holds; 0: the model's context
  bool check_weights = false;  // reject NaN and infinity in the weights
};

struct GenerationSettings {
  // Sampling. Empty values come from `preset`, else the model's files, else the model card for tuned models and greedy
  // decoding for others.
  std::optional<double> temperature = {};  // 0: greedy
  std::optional<int64_t> top_k = {};       // 0: all
  std::optional<double> top_p = {};        // 1: all
  // All other settings by name: {{"min_p", 0.05}, {"repetition_penalty", 1.1}}; a flag is 0 or 1.
  std::map<std::string, double> more = {};
  std::string preset = {};            // "card", "notebook", "space" or "greedy"; empty: none
  std::optional<uint64_t> seed = {};  // empty: random
  uint64_t sample = 0;                // another sample index gives another text with the same seed

  // When the text ends. By default at an end token of the model, or when the context is full.
  std::optional<int64_t> max_new_tokens = {};
  std::vector<std::string> stop = {};     // before any of these texts, which are not part of the result
  std::vector<int32_t> stop_ids = {};     // after any of these, in addition to the model's own
  std::optional<double> max_time_s = {};  // no further token after this many seconds
  bool ignore_end = false;                // never choose an end token
  std::stop_token cancel = {};            // may be set from any thread: ends the text before its next token
};

enum class ChatRole : uint8_t { kSystem, kUser, kAssistant };

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string text = {};  // UTF-8; no text can become a control token
};

struct ChatSettings {
  std::string prompt_template = {};        // "stablelm-tuned", "alpaca", ...; empty: the model's own
  std::optional<std::string> system = {};  // replaces the system messages of conversation and model
  bool no_system = false;                  // no system text at all
  // What to do when prompt and reserve do not fit the context: "error", "drop-oldest-turns", "shift" or "stop".
  std::string context_policy = "drop-oldest-turns";
  std::optional<int64_t> reserve = {};  // tokens reserved for the reply; empty: the policy's default
  GenerationSettings generation = {};
};

struct NewToken {
  int32_t id = 0;
  double logprob = 0;  // natural logarithm, from the model's raw logits
};

// Called on the calling thread during generation; returning false ends it (EndReason::kCancelled).
struct GenerationCallbacks {
  std::function<bool(const NewToken&)> on_token = {};  // each token when it is chosen
  // Text that is ready to be shown: whole characters, no part of a stop text; valid during the call. The concatenated
  // pieces are Generation::text.
  std::function<bool(std::string_view)> on_text = {};
};

enum class EndReason : uint8_t { kStop, kLength, kContext, kCancelled, kTime };

struct Generation {
  std::vector<int32_t> ids;      // including the end token or all ids of a stop text
  std::vector<double> logprobs;  // of each id
  std::string text;              // without end token and stop text; empty without a tokenizer
  EndReason reason = EndReason::kLength;
  std::optional<int32_t> stop_id;  // with kStop: one of the two is set
  std::optional<std::string> stop;
  uint64_t seed = 0;  // the seed used: gives the same tokens again
  int64_t prompt_tokens = 0;
  // What was dropped from the prompt because it did not fit the context, and what the policy "shift" dropped during the
  // reply, which is approximate from there.
  int64_t dropped_messages = 0, dropped_tokens = 0, shifted_tokens = 0;
};

// Weights, a thread pool, and the cache of the last conversation. Several models can live in one process. Call Chat,
// Generate and Score of one object from one thread at a time; the const functions are thread-safe.
class LanguageModel {
 public:
  // Loads a folder in Hugging Face's layout, or a hub id that is in the Hugging Face cache.
  static LanguageModel Load(const std::string& path_or_hub_id, const LoadSettings& settings = {});
  LanguageModel(LanguageModel&&) noexcept;
  LanguageModel& operator=(LanguageModel&&) noexcept;
  ~LanguageModel();

  int64_t vocab_size() const;
  int64_t context_length() const;
  bool has_tokenizer() const;  // without one only the functions on ids work
  const std::vector<std::string>& warnings() const;

  // Special tokens such as "<|USER|>" are plain text unless parse_special.
  std::vector<int32_t> Tokenize(std::string_view text, bool parse_special = false) const;
  std::string Detokenize(std::span<const int32_t> ids) const;

  // Answers a conversation that ends with a user message. The prefix shared with the previous conversation, including
  // its reply, is not computed again; this changes no bit of the answer.
  Generation Chat(const std::vector<ChatMessage>& conversation, const ChatSettings& settings = {},
                  const GenerationCallbacks& callbacks = {});

  // Continues a raw prompt.
  Generation Generate(std::span<const int32_t> prompt, const GenerationSettings& settings = {},
                      const GenerationCallbacks& callbacks = {});

  // result[t] = ln p(ids[t + 1] | ids[0 .. t]), so one entry fewer than ids.
  std::vector<double> Score(std::span<const int32_t> ids);

 private:
  struct Body;
  explicit LanguageModel(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace stablelm
