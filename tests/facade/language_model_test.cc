// Tests the public class against the reference and for consistency between its functions.
#include <gmock/gmock.h>
#include <stablelm/stablelm.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/system.h"
#include "checkpoint/tiny_model.h"
#include "generate/scoring.h"
#include "model/kv_cache.h"
#include "model/model_testing.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

const std::filesystem::path kParallel = TestData("golden/parallel");

std::string ErrorOf(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "no error";
}

std::vector<double> ScoresOf(const Transformer& model, const std::vector<int32_t>& ids, DType cache) {
  ThreadPool pool(1);
  return Scorer(model, ShapeOfScore(static_cast<int64_t>(ids.size()), cache, 1), pool).Score(ids);
}

TEST(LanguageModel, GivesTheReferencesResults) {
  const SafetensorsFile expected(kParallel / "expected.safetensors");
  LanguageModel model = LanguageModel::Load(kParallel.string(), {.threads = 2});
  EXPECT_EQ(model.vocab_size(), 512);
  EXPECT_EQ(model.context_length(), 128);
  const std::vector<int32_t> ids = Ids(expected, "tokens"), greedy = Ids(expected, "greedy");
  std::vector<int32_t> streamed;
  const Generation got =
      model.Generate(ids, {.max_new_tokens = 40, .ignore_end = true}, {.on_token = [&](const NewToken& token) {
                       streamed.push_back(token.id);
                       return true;
                     }});
  EXPECT_EQ(got.ids, greedy);
  EXPECT_EQ(streamed, greedy);
  EXPECT_EQ(got.reason, EndReason::kLength);
  const std::vector<float> want = Floats(expected, "token_logprobs");
  const std::vector<double> scores = model.Score(ids);
  ASSERT_EQ(scores.size(), ids.size() - 1);
  for (size_t i = 0; i < scores.size(); ++i) ASSERT_TRUE(std::abs(scores[i] - static_cast<double>(want[i])) <= 2e-5);
}

TEST(LanguageModel, ComputesFastWhenAsked) {
  const std::vector<int32_t> ids = Ids(SafetensorsFile(kParallel / "expected.safetensors"), "tokens");
  LanguageModel model = LanguageModel::Load(kParallel.string(), {.threads = 2, .compute = ComputeMode::kFast});
  const std::vector<double> scores = model.Score(ids);
  // The same model on the floor below: the same bits, whatever the chunks and threads.
  const Transformer fast(LoadWeights(ModelFolder::Open(kParallel.string()), {.compute = Compute::kFast}));
  EXPECT_EQ(scores, ScoresOf(fast, ids, DType::kF32));
  EXPECT_NE(scores, ScoresOf(LoadModel(kParallel), ids, DType::kF32));
}

TEST(LanguageModel, TextInTextOut) {
  const TempFolder temp;
  const auto folder = temp.path() / "model";
  std::filesystem::copy(TestData("golden/head128_fp16"), folder);
  std::filesystem::copy_file(TestData("tokenizer/tokenizer.json"), folder / "tokenizer.json");
  LanguageModel model = LanguageModel::Load(folder.string());
  ASSERT_TRUE(model.has_tokenizer());
  const std::vector<int32_t> prompt = model.Tokenize("Hello, world");
  EXPECT_EQ(model.Detokenize(prompt), "Hello, world");
  EXPECT_NE(model.Tokenize("<|USER|>"), model.Tokenize("<|USER|>", true));
  GenerationSettings settings = {.temperature = 1.5, .seed = 3, .max_new_tokens = 60, .ignore_end = true};
  std::string streamed;
  const Generation first = model.Generate(prompt, settings, {.on_text = [&](std::string_view text) {
                                            streamed += text;
                                            return true;
                                          }});
  EXPECT_EQ(first.text, model.Detokenize(first.ids));
  EXPECT_EQ(streamed, first.text);
  EXPECT_EQ(model.Generate(prompt, settings).ids, first.ids);
  size_t tokens = 0;
  const Generation cut = model.Generate(prompt, settings, {.on_token = [&](const NewToken&) { return ++tokens < 5; }});
  EXPECT_EQ(cut.reason, EndReason::kCancelled);
  EXPECT_EQ(cut.ids, std::vector<int32_t>(first.ids.begin(), first.ids.begin() + 5));
  settings.sample = 1;
  EXPECT_NE(model.Generate(prompt, settings).ids, first.ids);
}

TEST(LanguageModel, CachesOfFewerBits) {
  // The bits of the floor below with such a cache; every type has others.
  const std::vector<int32_t> prompt = {1, 2, 3, 4, 5, 6, 7, 8};
  const Transformer below = LoadModel(kParallel);
  std::set<std::vector<double>> seen;
  for (const auto& [type, stored] : {std::pair{CacheType::kFp32, DType::kF32}, std::pair{CacheType::kFp16, DType::kF16},
                                     std::pair{CacheType::kQ8, DType::kI8}}) {
    LanguageModel model = LanguageModel::Load(kParallel.string(), {.cache = type});
    EXPECT_EQ(model.Score(prompt), ScoresOf(below, prompt, stored));
    const Generation reply = model.Generate(prompt, {.temperature = 0, .max_new_tokens = 3, .ignore_end = true});
    ASSERT_EQ(reply.ids.size(), 3u);
    std::vector<int32_t> whole = prompt;
    whole.insert(whole.end(), reply.ids.begin(), reply.ids.end());
    const std::vector<double> scores = ScoresOf(below, whole, stored);
    EXPECT_EQ(reply.logprobs, std::vector<double>(scores.end() - 3, scores.end()));
    EXPECT_TRUE(seen.insert(reply.logprobs).second);
  }
}

// A tuned model: context of 256 tokens, role tokens of the small tokenizer.
class LanguageModelChat : public testing::Test {
 protected:
  LanguageModelChat() {
    std::filesystem::copy(TestData("golden/head128_fp16"), folder_);
    std::filesystem::copy_file(TestData("tokenizer/tokenizer.json"), folder_ / "tokenizer.json");
  }
  LanguageModel Load() const { return LanguageModel::Load(folder_.string()); }
  static ChatMessage User(std::string text) { return {.role = ChatRole::kUser, .text = std::move(text)}; }
  static ChatMessage Assistant(std::string text) { return {.role = ChatRole::kAssistant, .text = std::move(text)}; }

  const TempFolder temp_;
  const std::filesystem::path folder_ = temp_.path() / "model";
};

TEST_F(LanguageModelChat, StreamsTheAnswerOfTheRawPrompt) {
  LanguageModel model = Load();
  const ChatSettings settings = {.system = "Be brief.", .generation = {.seed = 5, .max_new_tokens = 20}};
  std::string streamed;
  const std::vector<ChatMessage> conversation = {User("Hi <|USER|>"), Assistant("Yes?"), User("Again")};
  const Generation answer = model.Chat(conversation, settings, {.on_text = [&](std::string_view text) {
                                         streamed += text;
                                         return true;
                                       }});
  EXPECT_EQ(streamed, answer.text);
  EXPECT_EQ(answer.dropped_messages, 0);
  // The same prompt written by hand: control tokens are parsed only in the template's parts.
  std::vector<int32_t> prompt;
  const auto add = [&](const char* control, const std::string& text) {
    for (const int32_t id : model.Tokenize(control, true)) prompt.push_back(id);
    for (const int32_t id : model.Tokenize(text)) prompt.push_back(id);
  };
  add("<|SYSTEM|>", "Be brief.");
  add("<|USER|>", "Hi <|USER|>");
  add("<|ASSISTANT|>", "Yes?");
  add("<|USER|>", "Again");
  add("<|ASSISTANT|>", "");
  const Generation raw = model.Generate(prompt, settings.generation);
  EXPECT_EQ(raw.ids, answer.ids);
  EXPECT_EQ(raw.logprobs, answer.logprobs);
  EXPECT_EQ(answer.prompt_tokens, static_cast<int64_t>(prompt.size()));
  // The cache of the first answer does not change a bit.
  EXPECT_EQ(model.Chat(conversation, settings).logprobs, answer.logprobs);
  EXPECT_EQ(Load().Chat(conversation, settings).logprobs, answer.logprobs);
}

// Settings of the call override those of the model's files.
TEST_F(LanguageModelChat, SettingsAreThoseOfTheCommands) {
  std::ofstream(folder_ / "stablelm_chat.json")
      << R"({"template": "stablelm-tuned", "system": "S", "generation": {"temperature": 0, "max_new_tokens": 7}})";
  LanguageModel model = Load();
  const std::vector<ChatMessage> hi = {User("Hi")};
  const Generation greedy = model.Chat(hi, {.generation = {.seed = 1, .ignore_end = true}});
  EXPECT_EQ(greedy.ids.size(), 7u);
  EXPECT_EQ(greedy.reason, EndReason::kLength);
  EXPECT_EQ(model.Chat(hi, {.generation = {.seed = 2, .ignore_end = true}}).ids, greedy.ids);
  EXPECT_EQ(model.Chat(hi, {.system = "S", .generation = {.preset = "greedy", .ignore_end = true}}).ids, greedy.ids);
  const auto drawn = [&](uint64_t seed) {
    return model.Chat(hi, {.generation = {.preset = "space", .seed = seed, .max_new_tokens = 30, .ignore_end = true}});
  };
  EXPECT_NE(drawn(1).ids, drawn(2).ids);
  EXPECT_EQ(drawn(1).ids.size(), 30u);
  EXPECT_NE(model.Chat(hi, {.no_system = true, .generation = {.ignore_end = true}}).prompt_tokens,
            greedy.prompt_tokens);
  // A stop text taken from an answer ends the answer there.
  const std::string text = drawn(1).text;
  const std::string stop = text.substr(text.size() / 2, 3);
  const Generation stopped = model.Chat(
      hi, {.generation = {.preset = "space", .seed = 1, .max_new_tokens = 30, .stop = {stop}, .ignore_end = true}});
  EXPECT_EQ(stopped.reason, EndReason::kStop);
  EXPECT_EQ(stopped.stop, stop);
  EXPECT_EQ(stopped.text, text.substr(0, text.find(stop)));
  // Other settings by name.
  EXPECT_EQ(model.Chat(hi, {.generation = {.more = {{"min_new_tokens", 3}, {"top_k", 1}}}}).ids.size(),
            model.Chat(hi, {.generation = {.top_k = 1, .more = {{"min_new_tokens", 3}}}}).ids.size());
}

TEST_F(LanguageModelChat, CancelsFromAnotherThread) {
  LanguageModel model = Load();
  std::stop_source stop;
  std::thread other;
  const ChatSettings settings = {.no_system = true,
                                 .context_policy = "shift",  // never ends by itself
                                 .generation = {.seed = 1, .ignore_end = true, .cancel = stop.get_token()}};
  const Generation cut = model.Chat({User("Hi")}, settings, {.on_text = [&](std::string_view) {
                                      if (!other.joinable()) other = std::thread([&] { stop.request_stop(); });
                                      return true;
                                    }});
  other.join();
  EXPECT_EQ(cut.reason, EndReason::kCancelled);
  EXPECT_FALSE(cut.text.empty());
  const Generation none = model.Chat({User("Hi")}, settings);  // cancelled before it started
  EXPECT_EQ(none.reason, EndReason::kCancelled);
  EXPECT_TRUE(none.ids.empty());
}

TEST_F(LanguageModelChat, ContextPolicies) {
  LanguageModel model = LanguageModel::Load(folder_.string(), {.chat_context = 64});
  std::vector<ChatMessage> conversation;
  for (int i = 0; i < 9; ++i) {
    conversation.push_back(User("question " + std::to_string(i)));
    conversation.push_back(Assistant("answer"));
  }
  conversation.push_back(User("last"));
  const auto chat = [&](const char* policy, int64_t tokens) {
    return model.Chat(conversation, {.system = "S",
                                     .context_policy = policy,
                                     .generation = {.preset = "greedy", .max_new_tokens = tokens, .ignore_end = true}});
  };
  const Generation dropped = chat("drop-oldest-turns", 5);
  EXPECT_GT(dropped.dropped_messages, 0);
  EXPECT_GT(dropped.dropped_tokens, 0);
  EXPECT_LE(dropped.prompt_tokens, 32);
  EXPECT_EQ(chat("drop-oldest-turns", 100).reason, EndReason::kContext);
  const Generation shifted = chat("shift", 100);
  EXPECT_EQ(shifted.ids.size(), 100u);
  EXPECT_GT(shifted.shifted_tokens, 0);
  EXPECT_THAT(ErrorOf([&] { chat("error", 5); }), testing::HasSubstr("longer than the model's context"));
  const std::string too_long = ErrorOf([&] { chat("error", 5); });  // names the setting, because a library has no flags
  EXPECT_THAT(too_long, testing::HasSubstr("`context_policy=drop-oldest-turns`"));
  EXPECT_THAT(too_long, testing::Not(testing::HasSubstr("--")));
  EXPECT_THAT(ErrorOf([&] { chat("drop-oldest-turn", 5); }), testing::HasSubstr("did you mean drop-oldest-turns?"));
}

TEST_F(LanguageModelChat, RefusesWhatMakesNoSense) {
  LanguageModel model = Load();
  const auto refusal = [&](const std::vector<ChatMessage>& conversation, const ChatSettings& settings = {}) {
    return ErrorOf([&] { model.Chat(conversation, settings); });
  };
  EXPECT_THAT(refusal({}), testing::HasSubstr("messages"));
  EXPECT_THAT(refusal({Assistant("Hi")}), testing::HasSubstr("messages[0].role: the assistant speaks first"));
  EXPECT_THAT(refusal({User("Hi"), Assistant("Yes")}), testing::HasSubstr("messages"));
  EXPECT_THAT(refusal({User("\xFF")}), testing::HasSubstr("not UTF-8"));
  EXPECT_THAT(refusal({User("Hi")}, {.prompt_template = "alpacca"}), testing::HasSubstr("did you mean alpaca?"));
  EXPECT_THAT(refusal({User("Hi")}, {.generation = {.more = {{"min_q", 1}}}}), testing::HasSubstr("min_p"));
  EXPECT_THAT(refusal({User("Hi")}, {.generation = {.preset = "crad"}}), testing::HasSubstr("did you mean card?"));
  EXPECT_THAT(refusal({User("Hi")}, {.no_system = true, .generation = {.stop = {""}}}), testing::HasSubstr("stop"));
  for (const int64_t context : {-1, 257}) {
    EXPECT_THAT(ErrorOf([&] { LanguageModel::Load(folder_.string(), {.chat_context = context}); }),
                testing::HasSubstr("chat_context: out of range: found " + std::to_string(context)));
  }
  EXPECT_EQ(LanguageModel::Load(folder_.string(), {.chat_context = 256}).context_length(), 256);  // all of them
}

TEST_F(LanguageModelChat, CallbacksAndTimeEndAText) {
  LanguageModel model = Load();
  const std::vector<int32_t> prompt = model.Tokenize("Hello, world");
  int pieces = 0;
  const Generation cut = model.Generate(prompt, {.temperature = 1.5, .seed = 3, .ignore_end = true},
                                        {.on_text = [&](std::string_view) { return ++pieces < 3; }});
  EXPECT_EQ(cut.reason, EndReason::kCancelled);
  EXPECT_EQ(pieces, 3);
  const Generation late = model.Generate(prompt, {.max_time_s = 1e-9, .ignore_end = true});
  EXPECT_EQ(late.reason, EndReason::kTime);
  EXPECT_EQ(late.ids.size(), 1u);
}

TEST_F(LanguageModelChat, ASeedIsDrawnWhenNoneIsGiven) {
  LanguageModel model = Load();
  const std::vector<int32_t> prompt = model.Tokenize("Hello, world");
  const Generation one = model.Generate(prompt, {.temperature = 1, .max_new_tokens = 1}),
                   two = model.Generate(prompt, {.temperature = 1, .max_new_tokens = 1});
  EXPECT_NE(one.seed, two.seed);
  EXPECT_EQ(model.Generate(prompt, {.temperature = 1, .seed = one.seed, .max_new_tokens = 1}).ids, one.ids);
}

// What the files ask for and is not done.
TEST_F(LanguageModelChat, GivesTheWarningsOfAllFiles) {
  std::ofstream(folder_ / "generation_config.json") << R"({"num_beams": 4})";
  nlohmann::json tokenizer = nlohmann::json::parse(std::ifstream(folder_ / "tokenizer.json"));
  tokenizer["truncation"] = {{"max_length", 5}};
  std::ofstream(folder_ / "tokenizer.json") << tokenizer;
  EXPECT_THAT(Load().warnings(),
              testing::IsSupersetOf({testing::HasSubstr("num_beams"), testing::HasSubstr("truncation")}));
}

TEST_F(LanguageModelChat, RefusesDamagedWeightsWhenAsked) {
  int damaged = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file(entry.path());
    const StoredTensor* tensor = file.Find("embed_out.weight");
    if (!tensor) continue;
    std::fstream out(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(tensor->offset));
    out.write("\0\x7C", 2);  // fp16: infinity
    ++damaged;
  }
  ASSERT_EQ(damaged, 1);
  EXPECT_EQ(ErrorOf([&] { Load(); }), "no error");
  EXPECT_THAT(ErrorOf([&] { LanguageModel::Load(folder_.string(), {.check_weights = true}); }),
              testing::HasSubstr("embed_out.weight"));
}

// config.json names id 0; the id in generation_config.json also ends a text.
TEST(LanguageModel, EndsWhereAnyOfItsFilesSays) {
  const TempFolder temp;
  const auto folder = temp.path() / "model";
  std::filesystem::copy(kParallel, folder);
  const std::vector<int32_t> prompt = {1, 2, 3};
  const Generation free =
      LanguageModel::Load(folder.string()).Generate(prompt, {.max_new_tokens = 3, .ignore_end = true});
  std::ofstream(folder / "generation_config.json") << "{\"eos_token_id\": " << free.ids[2] << "}";
  const Generation ended = LanguageModel::Load(folder.string()).Generate(prompt);
  EXPECT_EQ(ended.ids, free.ids);
  EXPECT_EQ(ended.reason, EndReason::kStop);
}

// Weights of a few MB whose keys and values need twice the memory of this machine when the context is full.
TEST(LanguageModel, RefusesACallThatDoesNotFitIntoMemory) {
  const TempFolder temp;
  const auto folder = temp.path() / "model";
  ModelConfig config = TinyConfig();
  config.vocab_size = 1000;
  config.hidden_size = 128;
  config.n_heads = 1;
  config.rotary_share = 1.0 / 64;
  config.max_positions = kMaxPositions;
  const int64_t pages = KvCache::PagesFor(kMaxPositions);
  config.n_layers = 1;
  const uint64_t one_layer = static_cast<uint64_t>(pages) * KvCache::BytesPerPage(config, DType::kF32);
  const uint64_t layers = AvailableMemory().bytes / one_layer * 2 + 2;
  if (layers > static_cast<uint64_t>(kMaxLayers)) GTEST_SKIP() << "too much memory for a small model to fill";
  config.n_layers = static_cast<int64_t>(layers);
  WriteTinyModel(folder, config);
  std::filesystem::copy_file(TestData("tokenizer/tokenizer.json"), folder / "tokenizer.json");
  LanguageModel model = LanguageModel::Load(folder.string(), {.threads = 1});
  const std::vector<int32_t> all(static_cast<size_t>(kMaxPositions), 1), one = {1};
  const auto no_room = testing::StartsWith("memory: this run does not fit");
  EXPECT_THAT(ErrorOf([&] { model.Score(all); }), no_room);
  EXPECT_THAT(ErrorOf([&] { model.Generate(one, {.max_new_tokens = kMaxPositions - 1}); }), no_room);
  EXPECT_THAT(ErrorOf([&] { model.Chat({{.text = "Hi"}}); }), no_room);
  EXPECT_EQ(model.Generate(one, {.temperature = 0, .max_new_tokens = 2, .ignore_end = true}).ids.size(), 2u);
}

TEST(LanguageModel, FailuresAreExceptionsWithWords) {
  EXPECT_THAT(ErrorOf([] { LanguageModel::Load("no/such/folder"); }), testing::HasSubstr("no/such/folder"));
  LanguageModel model = LanguageModel::Load(kParallel.string());
  EXPECT_FALSE(model.has_tokenizer());
  const std::vector<int32_t> none, one = {1}, outside = {512};
  EXPECT_THAT(ErrorOf([&] { model.Tokenize("x"); }), testing::HasSubstr("tokenizer.json is missing"));
  EXPECT_THAT(ErrorOf([&] { model.Generate(none); }), testing::HasSubstr("empty"));
  EXPECT_THAT(ErrorOf([&] { model.Score(outside); }), testing::HasSubstr("found 512"));
  EXPECT_THAT(ErrorOf([&] { model.Generate(one, {.stop_ids = {512}}); }), testing::HasSubstr("`stop_ids`: token id"));
  EXPECT_THAT(ErrorOf([&] { model.Generate(one, {.top_p = 2}); }), testing::HasSubstr("top_p"));
  EXPECT_THAT(ErrorOf([&] { model.Generate(one, {.max_new_tokens = 0}); }), testing::HasSubstr("max_new_tokens"));
  EXPECT_THAT(ErrorOf([&] { model.Generate(one, {.top_k = INT64_MAX}); }), testing::HasSubstr("top_k"));
  EXPECT_THAT(ErrorOf([&] { model.Chat({{.text = "Hi"}}); }), testing::HasSubstr("tokenizer.json is missing"));
  EXPECT_THAT(ErrorOf([&] { model.Generate(one, {.temperature = std::nan("")}); }), testing::HasSubstr("temperature"));
}

}  // namespace
}  // namespace stablelm
