// A loaded model: chat, continue a text, score, tokenize.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "stablelm/chat.h"
#include "stablelm/generation.h"

namespace stablelm {

// Types of the weights in memory. From kQ8_0 on, they are quantized while they are loaded, as `stablelm quantize` does
// (docs/quantizing.md); a model that is stored quantized is refused then.
enum class WeightType : uint8_t {
  kStored,  // as stored; maps the files (mmap) where possible
  kFp32,
  kFp16,
  kBf16,
  kQ8_0,
  kQ6_K,
  kQ5_K_M,
  kQ5_K,
  kQ4_K_M,
  kQ4_K,
  kQ4_0
};
const char* NameOf(WeightType type);  // "stored", "fp32", ..., "Q4_0"
enum class CacheType : uint8_t { kFp32, kFp16, kQ8 };
enum class ComputeMode : uint8_t { kExact, kFast };

struct LoadProgress {
  uint64_t done = 0;   // bytes of the files
  uint64_t total = 0;  // the last call has done == total
};

// A LoRA adapter: a folder in PEFT's format, with its effect times `scale`.
struct LoraAdapter {
  std::string path = {};
  double scale = 1;  // finite
};

struct LoadSettings {
  unsigned threads = 0;  // 0: the physical cores that the process may use; results do not depend on it
  WeightType weights = WeightType::kStored;
  CacheType cache = CacheType::kFp32;  // of the key-value cache; kQ8: 8-bit integers
  // Arithmetic of products with fp32, fp16 and bf16 weights. kFast rounds weights (in memory) and activations to bf16,
  // which costs some accuracy (docs/compute.md). Quantized weights ignore it.
  ComputeMode compute = ComputeMode::kExact;
  // Added to the model, in this order; the last one with a chat record (stablelm_chat.json) replaces the model's.
  std::vector<LoraAdapter> adapters = {};
  int64_t chat_context = 0;    // tokens of prompt and reply that Chat's cache holds; 0: the model's context
  bool check_weights = false;  // reject NaN and infinity in the weights
  // Called about ten times a second while the weights are read, on any thread, one call at a time.
  std::function<void(const LoadProgress&)> on_progress = {};
  std::stop_token cancel = {};  // Load then throws ErrorKind::kCancelled
};

// What is known of a model without loading its weights.
struct ModelInfo {
  std::string path = {};      // the folder or file
  std::string name = {};      // "general.name" of a GGUF file; else the hub id's or the folder's name
  std::string licence = {};   // as the model's README.md or GGUF file names it, "cc-by-sa-4.0"; empty: not said
  int64_t parameters = 0;     // number of weights
  uint64_t stored_bytes = 0;  // of the weights
  std::vector<std::string> stored_types = {};  // "fp16"; "Q4_K", "fp32", "Q6_K"
  int64_t vocab_size = 0;                      // including rows without a token
  int64_t context_length = 0;                  // tokens of prompt and reply
  int64_t layers = 0, width = 0, heads = 0;
  bool has_tokenizer = false;                        // without one only the functions on ids work
  std::optional<ChatTemplate> prompt_template = {};  // the model's own; empty: Chat needs one in its settings
  std::string system = {};                           // the model's system text
  std::vector<std::string> warnings = {};            // what its files ask for that is not done
};

struct MemoryItem {
  std::string name = {};  // "weights (packed)", "key-value cache (fp32)", ...
  uint64_t bytes = 0;
  bool file_pages = false;  // pages of mapped files, which the system can drop and read again
};

struct MemoryEstimate {
  std::vector<MemoryItem> items = {};
  uint64_t total = 0;                      // bytes
  std::optional<uint64_t> available = {};  // bytes that this process can still take; empty: unknown
  std::string limited_by = {};             // what sets that, "this machine"; empty: unknown
  bool fits = false;                       // also when it is unknown
};

struct ScoreSettings {
  int64_t top_logprobs = 0;     // alternatives to list for each token
  std::stop_token cancel = {};  // Score then throws ErrorKind::kCancelled
};

struct Scores {
  std::vector<double> logprobs = {};               // [t] = ln p(ids[t + 1] | ids[0 .. t]): one entry fewer than ids
  std::vector<std::vector<Alternative>> top = {};  // [t]: the most likely tokens in place of ids[t + 1], best first
};

// Weights, threads, and the cache of one conversation. Several models can live in one process.
//
// Threads: any thread may call any function of one object at any time. Chat, Generate and Score of one object run one
// after the other: a second call waits for the first. Share() gives another thread an object of its own with the same
// weights, and RequestEngine runs many requests together. Calling Chat, Generate or Score from a callback of the same
// object is an error (kUsage), because it would wait for itself. Moving, assigning and destroying need the object
// alone.
//
// Every function throws ModelError (stablelm/error.h); what callbacks throw passes through. After an exception the
// object is usable as before.
class LanguageModel {
 public:
  // `model`: a folder in Hugging Face's layout, a GGUF file, or a hub id that is in the Hugging Face cache. Any thread.
  static LanguageModel Load(const std::string& model, const LoadSettings& settings = {});
  // Reads only the small files and the headers of the weights. Any thread.
  static ModelInfo Inspect(const std::string& model);
  // The memory of Load and the first Chat: `settings.chat_context` tokens. Load and Chat refuse what does not fit. Any
  // thread.
  static MemoryEstimate EstimateMemory(const std::string& model, const LoadSettings& settings = {});

  LanguageModel(LanguageModel&&) noexcept;
  LanguageModel& operator=(LanguageModel&&) noexcept;
  ~LanguageModel();

  // Another object with the same weights and settings, and with threads and a conversation of its own. Any thread.
  LanguageModel Share() const;

  const ModelInfo& info() const;  // any thread

  // Special tokens such as "<|USER|>" are plain text unless parse_special. Any thread, at the same time.
  std::vector<int32_t> Tokenize(std::string_view text, bool parse_special = false) const;
  // Bytes that are not UTF-8 become U+FFFD. Any thread, at the same time.
  std::string Detokenize(std::span<const int32_t> ids) const;

  // Answers a conversation that ends with a user message. The prefix shared with the previous conversation, including
  // its reply, is not computed again; this changes no bit of the answer. Any thread, one after the other.
  Generation Chat(const std::vector<ChatMessage>& conversation, const ChatSettings& settings = {},
                  const GenerationCallbacks& callbacks = {});

  // Continues a text, or ids. Any thread, one after the other.
  Generation Generate(std::string_view prompt, const GenerationSettings& settings = {},
                      const GenerationCallbacks& callbacks = {});
  Generation Generate(std::span<const int32_t> prompt, const GenerationSettings& settings = {},
                      const GenerationCallbacks& callbacks = {});

  // Log-probabilities of a text, or of ids. Any thread, one after the other.
  Scores Score(std::string_view text, const ScoreSettings& settings = {});
  Scores Score(std::span<const int32_t> ids, const ScoreSettings& settings = {});

 private:
  friend class RequestEngine;
  struct Body;
  explicit LanguageModel(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace stablelm
