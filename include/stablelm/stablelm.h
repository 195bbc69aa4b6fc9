// stablelm as a library: load a model, talk to it, continue a text, turn text into ids and back, score.
//
//   #include <stablelm/stablelm.h>          // CMake: target_link_libraries(app PRIVATE stablelm::stablelm)
//
//   stablelm::LanguageModel model = stablelm::LanguageModel::Load("models/stablelm-tuned-3b");
//   model.Chat({{.text = "What's your mood today?"}}, {},
//              {.on_text = [](std::string_view text) { return std::cout << text << std::flush, true; }});
//
// What is not asked for is as the model's own files say, else as its card says: how a conversation is written, which
// settings hold, where a reply ends. The program's commands decide it in the same way (docs/prompting.md).
//
// Every failure is an exception derived from std::exception whose what() says where, what was found, what was expected
// and what to do next. Only standard types are used here.
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
  unsigned threads = 0;                      // 0: the physical cores; results do not depend on it
  WeightType weights = WeightType::kStored;  // kStored uses the files in place, by mmap
  CacheType cache = CacheType::kFp32;        // of keys and values; kQ8: 8-bit integers
  // Of products with fp32, fp16 and bf16 weights. kFast rounds weights (in memory) and activations to bf16, which costs
  // some accuracy (docs/compute.md). Quantized weights have one arithmetic.
  ComputeMode compute = ComputeMode::kExact;
  int64_t chat_context = 0;    // positions of prompt and reply together that Chat makes its cache for;
                               // 0: as many as the model has
  bool check_weights = false;  // refuse NaN and infinity
};

struct GenerationSettings {
  // How tokens are chosen. Empty: as `preset` says, else the model's files, else the card for tuned models and greedy
  // for others.
  std::optional<double> temperature = {};  // 0: greedy
  std::optional<int64_t> top_k = {};       // 0: all
  std::optional<double> top_p = {};        // 1: all
  // Every other setting by its name: {{"min_p", 0.05}, {"repetition_penalty", 1.1}}; a flag is 0 or 1.
  std::map<std::string, double> more = {};
  std::string preset = {};            // "card", "notebook", "space" or "greedy"; empty: none
  std::optional<uint64_t> seed = {};  // empty: random
  uint64_t sample = 0;                // the same seed gives another text for another number

  // When the text ends. Empty: at an end token of the model, or where the context ends.
  std::optional<int64_t> max_new_tokens = {};
  std::vector<std::string> stop = {};     // before any of these texts; nothing of them is given out
  std::vector<int32_t> stop_ids = {};     // after any of these, beside the model's own
  std::optional<double> max_time_s = {};  // no further token after so many seconds
  bool ignore_end = false;                // never choose an end token
  std::stop_token cancel = {};            // from any thread: ends the text before its next token
};

enum class ChatRole : uint8_t { kSystem, kUser, kAssistant };

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string text = {};  // UTF-8; no text can become a control token
};

struct ChatSettings {
  std::string prompt_template = {};        // "stablelm-tuned", "alpaca", ...; empty: the model's own
  std::optional<std::string> system = {};  // in place of the conversation's system message and of the model's own
  bool no_system = false;                  // no system text at all
  // What happens when prompt and reserve do not fit the context: "error", "drop-oldest-turns", "shift" or "stop".
  std::string context_policy = "drop-oldest-turns";
  std::optional<int64_t> reserve = {};  // positions that stay free for the reply; empty: as the policy says
  GenerationSettings generation = {};
};

struct NewToken {
  int32_t id = 0;
  double logprob = 0;  // natural logarithm, under the model's unchanged logits
};

// Called on the calling thread while a text comes; false ends it (EndReason::kCancelled).
struct GenerationCallbacks {
  std::function<bool(const NewToken&)> on_token = {};  // every token as it is chosen
  // Text as it can be shown: whole characters, nothing of a stop text; valid during the call. Joined it is
  // Generation::text.
  std::function<bool(std::string_view)> on_text = {};
};

enum class EndReason : uint8_t { kStop, kLength, kContext, kCancelled, kTime };

struct Generation {
  std::vector<int32_t> ids;      // the end token included, those of a stop text whole
  std::vector<double> logprobs;  // of each
  std::string text;              // without the end token or stop text; empty without a tokenizer
  EndReason reason = EndReason::kLength;
  std::optional<int32_t> stop_id;  // with kStop: which of both it was
  std::optional<std::string> stop;
  uint64_t seed = 0;  // the same seed gives the same tokens again
  int64_t prompt_tokens = 0;
  // What did not fit the context and was left out of the prompt, and what the policy "shift" left out during the reply,
  // which is approximate from there.
  int64_t dropped_messages = 0, dropped_tokens = 0, shifted_tokens = 0;
};

// Weights, a pool of threads and the cache of the last conversation. Several models can live in one process. Chat,
// Generate and Score of one object are for one thread at a time; the const functions for any.
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

  // The answer to a conversation, which ends with the user's message. What it has in common with the conversation
  // before, replies included, is not computed again; that changes no bit of the answer.
  Generation Chat(const std::vector<ChatMessage>& conversation, const ChatSettings& settings = {},
                  const GenerationCallbacks& callbacks = {});

  // The continuation of a raw prompt.
  Generation Generate(std::span<const int32_t> prompt, const GenerationSettings& settings = {},
                      const GenerationCallbacks& callbacks = {});

  // ln p(ids[t + 1] | ids[0 .. t]): one fewer than ids.
  std::vector<double> Score(std::span<const int32_t> ids);

 private:
  struct Body;
  explicit LanguageModel(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace stablelm
