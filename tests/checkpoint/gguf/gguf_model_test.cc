// GGUF models compared with the folders they were made from: metadata, names, tokenizers and tensors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "checkpoint/gguf/gguf_testing.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "checkpoint/huggingface/tokenizer_writer.h"
#include "checkpoint/tensor_values.h"
#include "checkpoint/tiny_model.h"
#include "error_text.h"
#include "ops/convert.h"
#include "temp_folder.h"
#include "test_paths.h"
#include "tokenizer/byte_symbols.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

const fs::path kTestData = TestData();
const std::vector<std::string> kFolders = {"parallel",        "sequential",       "gelu_tanh",
                                           "odd_width",       "head128_fp16",     "bf16_newconfig",
                                           "bin_legacy_fp32", "bin_sharded_fp16", "long_context"};

void ExpectSame(const ModelConfig& got, const ModelConfig& want) {
  EXPECT_EQ(got.vocab_size, want.vocab_size);
  EXPECT_EQ(got.hidden_size, want.hidden_size);
  EXPECT_EQ(got.n_layers, want.n_layers);
  EXPECT_EQ(got.n_heads, want.n_heads);
  EXPECT_EQ(got.intermediate_size, want.intermediate_size);
  EXPECT_EQ(got.max_positions, want.max_positions);
  EXPECT_EQ(got.rotary_dims, want.rotary_dims);
  EXPECT_EQ(got.rotary_base, want.rotary_base);
  EXPECT_EQ(got.layer_norm_eps, want.layer_norm_eps);  // the decimal of config.json, not the nearest float
  EXPECT_EQ(got.parallel_residual, want.parallel_residual);
  EXPECT_EQ(got.tie_word_embeddings, want.tie_word_embeddings);
  EXPECT_EQ(got.bos_id, want.bos_id);
  EXPECT_EQ(got.eos_ids, want.eos_ids);
}

class GgufModel : public testing::Test {
 protected:
  fs::path File() const { return temp_.path() / "model.gguf"; }
  fs::path Tiny(const ModelConfig& config = TinyConfig()) const {
    WriteTinyModel(temp_.path() / "tiny", config);
    return temp_.path() / "tiny";
  }
  std::string Refusal() const {
    return ErrorText([&] { ModelFolder::Open(File().string()); });
  }
  // The error for the tiny model with changed metadata.
  std::string Refusal(const std::function<void(GgufMetadata&)>& change) const {
    WriteGgufOf(Tiny(), File(), [&](GgufMetadata& metadata) {
      metadata.Remove("stablelm.config");
      change(metadata);
    });
    return Refusal();
  }
  TempFolder temp_;
};

TEST_F(GgufModel, HasTheConfigurationOfItsFolder) {
  for (const std::string& name : kFolders) {
    SCOPED_TRACE(name);
    const fs::path folder = kTestData / "golden" / name;
    const ModelConfig want = ReadConfig(folder / "config.json");
    WriteGgufOf(folder, File());
    const auto whole = ModelFolder::Open(File().string());
    EXPECT_TRUE(whole->warnings().empty()) << whole->warnings()[0];
    ExpectSame(whole->config(), want);
    EXPECT_EQ(whole->config().activation, want.activation);
    EXPECT_EQ(whole->config().rotary_share, want.rotary_share);
    // A file from another program has only the standard keys, which hold everything except the activation.
    WriteGgufOf(folder, File(), [](GgufMetadata& metadata) { metadata.Remove("stablelm.config"); });
    const auto keys = ModelFolder::Open(File().string());
    ExpectSame(keys->config(), want);
    EXPECT_EQ(keys->config().activation, Activation::kGeluErf);
    EXPECT_EQ(static_cast<int64_t>(static_cast<double>(want.head_dim()) * keys->config().rotary_share),
              want.rotary_dims);
  }
}

// Every tensor has the values of the folder, with QKV rows reordered; matrices keep their type, vectors are fp32.
TEST_F(GgufModel, HasTheTensorsOfItsFolder) {
  for (const std::string& name : kFolders) {
    SCOPED_TRACE(name);
    const fs::path folder = kTestData / "golden" / name;
    WriteGgufOf(folder, File());
    const auto want = ModelFolder::Open(folder.string()), got = ModelFolder::Open(File().string());
    EXPECT_EQ(want->qkv_order(), QkvOrder::kPerHead);
    EXPECT_EQ(got->qkv_order(), QkvOrder::kStacked);
    for (size_t i = 0; i < want->table().size(); ++i) {
      const WeightEntry& entry = want->table()[i];
      SCOPED_TRACE(entry.name);
      EXPECT_EQ(got->TensorOf(i).shape, entry.shape);
      EXPECT_EQ(*got->TensorOf(i).dtype, entry.IsMatrix() ? *want->TensorOf(i).dtype : DType::kF32);
      const std::vector<float> a = FloatsOf(*want, i), b = FloatsOf(*got, i);
      const int64_t rows = entry.shape[0], D = want->config().head_dim(), H = want->config().n_heads;
      const size_t width = a.size() / static_cast<size_t>(rows);
      const bool qkv = entry.kind == WeightKind::kQkvWeight || entry.kind == WeightKind::kQkvBias;
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t part = r / D % 3, head = r / (3 * D), there = (part * H + head) * D + r % D;
        ASSERT_EQ(std::memcmp(a.data() + static_cast<size_t>(r) * width,
                              b.data() + static_cast<size_t>(qkv ? there : r) * width, width * sizeof(float)),
                  0)
            << r;
      }
    }
  }
}

TEST_F(GgufModel, QkvRowsGoThereAndBack) {
  const ModelConfig config = TinyConfig();
  for (int64_t row = 0; row < 3 * config.hidden_size; ++row) {
    const int64_t there = QkvRow(config, QkvOrder::kPerHead, QkvOrder::kStacked, row);
    EXPECT_EQ(QkvRow(config, QkvOrder::kStacked, QkvOrder::kPerHead, there), row);
    EXPECT_EQ(QkvRow(config, QkvOrder::kStacked, QkvOrder::kStacked, row), row);
  }
}

TEST_F(GgufModel, OutputMatrixMayBeTied) {
  ModelConfig config = TinyConfig();
  config.tie_word_embeddings = true;
  WriteGgufOf(Tiny(config), File());
  EXPECT_TRUE(ModelFolder::Open(File().string())->config().tie_word_embeddings);
  WriteGgufOf(Tiny(config), File(), [](GgufMetadata& metadata) { metadata.Remove("stablelm.config"); });
  EXPECT_TRUE(ModelFolder::Open(File().string())->config().tie_word_embeddings);
}

TEST_F(GgufModel, MissingKeysAreNamed) {
  for (const char* key :
       {"general.architecture", "gptneox.context_length", "gptneox.embedding_length", "gptneox.block_count",
        "gptneox.feed_forward_length", "gptneox.use_parallel_residual", "gptneox.rope.dimension_count",
        "gptneox.attention.head_count", "gptneox.attention.layer_norm_epsilon"}) {
    EXPECT_THAT(Refusal([&](GgufMetadata& m) { m.Remove(key); }),
                AllOf(HasSubstr("model.gguf: key \"" + std::string(key) + "\""), HasSubstr("missing")))
        << key;
  }
  // These keys have a default.
  EXPECT_EQ(Refusal([](GgufMetadata& m) { m.Remove("gptneox.rope.freq_base"); }), "");
  EXPECT_EQ(Refusal([](GgufMetadata& m) { m.Remove("gptneox.vocab_size"); }), "");
  EXPECT_EQ(Refusal([](GgufMetadata& m) { m.Remove("general.type"); }), "");
}

TEST_F(GgufModel, WhatIsNotThisFamilyIsRefused) {
  EXPECT_THAT(
      Refusal([](GgufMetadata& m) { m.SetText("general.architecture", "stablelm"); }),
      AllOf(HasSubstr("\"general.architecture\" (byte "), HasSubstr("another model family"), HasSubstr("StableLM 2")));
  EXPECT_THAT(Refusal([](GgufMetadata& m) { m.SetText("general.type", "adapter"); }), HasSubstr("not a model"));
  EXPECT_THAT(Refusal([](GgufMetadata& m) { m.SetText("gptneox.rope.scaling.type", "yarn"); }),
              AllOf(HasSubstr("unsupported rotary scaling"), HasSubstr("llama.cpp runs it")));
  EXPECT_THAT(Refusal([](GgufMetadata& m) { m.Set<float>("gptneox.rope.scaling.factor", 4); }),
              AllOf(HasSubstr("found 4, expected 1"), HasSubstr("llama.cpp runs it")));
  EXPECT_THAT(Refusal([](GgufMetadata& m) { m.Set<uint32_t>("gptneox.attention.head_count_kv", 1); }),
              AllOf(HasSubstr("head_count_kv"), HasSubstr("found 1, expected 2")));
}

TEST_F(GgufModel, SizesThatMakeNoSenseAreNamed) {
  const auto with = [&](const char* key, uint32_t value) {
    return Refusal([&](GgufMetadata& m) { m.Set<uint32_t>(key, value); });
  };
  EXPECT_THAT(with("gptneox.block_count", 0), AllOf(HasSubstr("block_count"), HasSubstr("found 0")));
  EXPECT_THAT(with("gptneox.block_count", 4000000000), HasSubstr("expected an integer from 1 to 512"));
  EXPECT_THAT(with("gptneox.attention.head_count", 3), HasSubstr("does not divide"));
  EXPECT_THAT(with("gptneox.attention.head_count", 8), HasSubstr("must be even"));
  EXPECT_THAT(with("gptneox.rope.dimension_count", 3), HasSubstr("in pairs"));
  EXPECT_THAT(with("gptneox.rope.dimension_count", 6), HasSubstr("expected an integer from 1 to 4"));
  EXPECT_THAT(with("gptneox.vocab_size", 11), AllOf(HasSubstr("disagrees"), HasSubstr("found 11, expected 10")));
  EXPECT_THAT(with("tokenizer.ggml.eos_token_id", 10), HasSubstr("not a token of the vocabulary"));
  EXPECT_THAT(with("gptneox.use_parallel_residual", 1), HasSubstr("expected a bool"));
  for (const float eps : {0.0f, -1.0f, INFINITY, NAN}) {
    EXPECT_THAT(Refusal([&](GgufMetadata& m) { m.Set<float>("gptneox.attention.layer_norm_epsilon", eps); }),
                HasSubstr("out of range"));
  }
  EXPECT_THAT(Refusal([&](GgufMetadata& m) { m.Set<float>("gptneox.rope.freq_base", INFINITY); }),
              HasSubstr("out of range"));
}

TEST_F(GgufModel, KeysAndTheCarriedConfigMustAgree) {
  const auto with = [&](const std::function<void(GgufMetadata&)>& change) {
    WriteGgufOf(Tiny(), File(), change);
    return Refusal();
  };
  EXPECT_THAT(
      with([](GgufMetadata& m) { m.Set<uint32_t>("gptneox.context_length", 8); }),
      AllOf(HasSubstr("\"gptneox.context_length\""), HasSubstr("disagrees"), HasSubstr("found 8, expected 16")));
  EXPECT_THAT(with([](GgufMetadata& m) { m.Set<float>("gptneox.rope.freq_base", 10001); }), HasSubstr("disagrees"));
  EXPECT_THAT(with([](GgufMetadata& m) { m.Set<bool>("gptneox.use_parallel_residual", false); }),
              HasSubstr("disagrees"));
  EXPECT_THAT(with([](GgufMetadata& m) { m.Set<uint32_t>("tokenizer.ggml.eos_token_id", 5); }), HasSubstr("disagrees"));
  EXPECT_THAT(with([](GgufMetadata& m) { m.SetText("stablelm.config", "{"); }), HasSubstr("\"stablelm.config\""));
}

// Converters stack the rows of QKV since May 2024; a file does not say when it was made.
TEST_F(GgufModel, FilesThatMayHaveTheOldOrderOfQkvAreReported) {
  const auto warnings = [&](const std::function<void(GgufMetadata&)>& change) {
    WriteGgufOf(Tiny(), File(), [&](GgufMetadata& m) {
      m.SetTexts("tokenizer.ggml.tokens", std::vector<std::string>(10, "a"));
      change(m);
    });
    return ModelFolder::Open(File().string())->warnings();
  };
  const auto old = warnings([](GgufMetadata& m) { m.Remove("stablelm.config"); });
  ASSERT_EQ(old.size(), 1u);
  EXPECT_THAT(old[0], AllOf(HasSubstr("tokenizer.ggml.pre"), HasSubstr("another order")));
  EXPECT_THAT(warnings([](GgufMetadata& m) {
                m.Remove("stablelm.config");
                m.SetText("tokenizer.ggml.pre", "olmo");
              }),
              testing::IsEmpty());
  EXPECT_THAT(warnings([](GgufMetadata&) {}), testing::IsEmpty());  // written here
}

TEST_F(GgufModel, TokensThatEndATurnEndAReply) {
  for (const bool carried : {false, true}) {
    WriteGgufOf(Tiny(), File(), [&](GgufMetadata& m) {
      if (!carried) m.Remove("stablelm.config");
      m.Set<uint32_t>("tokenizer.ggml.eot_token_id", 7);
      m.Set<uint32_t>("tokenizer.ggml.eom_token_id", 0);
    });
    EXPECT_EQ(ModelFolder::Open(File().string())->config().eos_ids, (std::vector<int32_t>{0, 7}));
  }
  EXPECT_THAT(Refusal([](GgufMetadata& m) { m.Set<uint32_t>("tokenizer.ggml.eot_token_id", 10); }),
              HasSubstr("not a token of the vocabulary"));
}

TEST_F(GgufModel, UnknownKeysOfTheArchitectureAreReported) {
  WriteGgufOf(Tiny(), File(), [](GgufMetadata& m) { m.Set<uint32_t>("gptneox.expert_count", 8); });
  const auto model = ModelFolder::Open(File().string());
  ASSERT_EQ(model->warnings().size(), 1u);
  EXPECT_THAT(model->warnings()[0], HasSubstr("\"gptneox.expert_count\""));
}

// Tensors with GGUF names, all zeros.
class GgufTensors : public GgufModel {
 protected:
  std::string RefusalOf(const std::function<void(std::vector<GgufTensorEntry>&)>& change) {
    const auto tiny = ModelFolder::Open(Tiny().string());
    std::vector<GgufTensorEntry> tensors;
    for (const WeightEntry& entry : tiny->table()) tensors.push_back({GgufTensorName(entry), DType::kF32, entry.shape});
    change(tensors);
    fs::remove(File());
    GgufWriter writer(File(), GgufMetadataOf(*tiny), tensors);
    for (size_t i = 0; i < tensors.size(); ++i) writer.WriteAt(i, 0, std::vector<std::byte>(writer.TensorBytes(i)));
    writer.Commit();
    return Refusal();
  }
};

TEST_F(GgufTensors, MissingSurplusAndMisshapenOnesAreNamed) {
  EXPECT_EQ(RefusalOf([](auto&) {}), "");
  EXPECT_THAT(RefusalOf([](auto& tensors) { tensors.pop_back(); }),
              AllOf(HasSubstr("1 of 28 tensors is missing"), HasSubstr("\"output.weight\"")));
  EXPECT_THAT(RefusalOf([](auto& tensors) {
                tensors.push_back({"rope_freqs.weight", DType::kF32, {2}});
              }),
              AllOf(HasSubstr("does not have"), HasSubstr("\"rope_freqs.weight\"")));
  EXPECT_THAT(
      RefusalOf([](auto& tensors) {
        tensors[5].shape = {8, 24};
      }),
      AllOf(HasSubstr("\"blk.0.attn_qkv.weight\""), HasSubstr("found [8, 24], expected [24, 8] by the file's keys")));
  EXPECT_THAT(RefusalOf([](auto& tensors) { tensors[5].dtype = DType::kI8; }),
              AllOf(HasSubstr("unsupported type of weights"), HasSubstr("found I8")));
}

TEST_F(GgufTensors, DimensionsOfOneAtTheEndSayNothing) {
  EXPECT_EQ(RefusalOf([](auto& tensors) {
              for (GgufTensorEntry& tensor : tensors) {
                const std::span<const int64_t> dims = tensor.shape.dims();
                tensor.shape = dims.size() == 1 ? Shape{1, 1, 1, dims[0]} : Shape{1, dims[0], dims[1]};
              }
            }),
            "");
  EXPECT_THAT(RefusalOf([](auto& tensors) { tensors[1].shape = {8, 1}; }), HasSubstr("found [8, 1]"));
}

TEST_F(GgufTensors, QuantizedMatricesAreDecodedWhenAskedFor) {
  ModelConfig config = TinyConfig();
  config.hidden_size = 64;
  config.intermediate_size = 64;
  const auto model = ModelFolder::Open(Tiny(config).string());
  const auto write = [&](DType matrices, DType vectors) {
    std::vector<GgufTensorEntry> tensors;
    for (const WeightEntry& entry : model->table()) {
      tensors.push_back({GgufTensorName(entry), entry.IsMatrix() ? matrices : vectors, entry.shape});
    }
    fs::remove(File());
    GgufWriter writer(File(), GgufMetadataOf(*model), tensors);
    for (size_t i = 0; i < tensors.size(); ++i) {
      std::vector<std::byte> bytes(writer.TensorBytes(i));
      if (tensors[i].dtype == DType::kQ8_0) {
        const uint16_t d = ToF16(0.125f).bits;
        for (size_t b = 0; b < bytes.size(); b += 34) {
          std::memcpy(&bytes[b], &d, sizeof d);
          for (size_t q = 0; q < 32; ++q) bytes[b + 2 + q] = static_cast<std::byte>(q);
        }
      }
      writer.WriteAt(i, 0, bytes);
    }
    writer.Commit();
  };
  write(DType::kQ8_0, DType::kF32);
  const auto file = ModelFolder::Open(File().string());
  EXPECT_EQ(file->TensorOf(0).dtype, DType::kQ8_0);
  for (size_t i = 0; i < file->table().size(); ++i) {
    if (!file->table()[i].IsMatrix()) continue;
    SCOPED_TRACE(file->table()[i].name);
    // Every value is d q with d = 2^-3 and q = the value's index in its block.
    const std::vector<float> values = FloatsOf(*file, i);
    for (size_t v = 0; v < values.size(); v += 7) ASSERT_EQ(values[v], 0.125f * static_cast<float>(v % 32)) << v;
  }
  write(DType::kF32, DType::kQ8_0);
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("unsupported type of weights"), HasSubstr("found Q8_0")));
}

// --- Tokenizer ---

class GgufTokenizerTest : public GgufModel {
 protected:
  // The tokenizer of a file without weights, from modified metadata.
  Tokenizer Read(const std::function<void(GgufMetadata&)>& change = {}) const {
    GgufMetadata metadata;
    SetTokenizerKeys(Spec(), 1000, 0, 0, metadata);
    if (change) change(metadata);
    GgufWriter(File(), metadata, {}).Commit();
    const GgufFile file(File());
    return Tokenizer(ReadGgufTokenizer(file.header()), {.model_vocab_size = 1000});
  }
  std::string RefusalOf(const std::function<void(GgufMetadata&)>& change) const {
    return ErrorText([&] { Read(change); });
  }
  static constexpr const char* kTypes = "tokenizer.ggml.token_type";
  static constexpr const char* kTokens = "tokenizer.ggml.tokens";
  // The lists that Read starts from; the types of padding rows are `padding`.
  static std::vector<std::string> Tokens() {
    const TokenizerSpec spec = Spec();
    std::vector<std::string> tokens;
    for (int32_t id = 0; id < 1000; ++id) {
      tokens.push_back(id < spec.vocabulary.size() ? std::string(spec.vocabulary.Spelling(id))
                                                   : "[PAD" + std::to_string(id) + "]");
    }
    return tokens;
  }
  static std::vector<int32_t> Types(int32_t padding) {
    const TokenizerSpec spec = Spec();
    std::vector<int32_t> types(1000, 1);
    for (const AddedToken& token : spec.added_tokens) types[static_cast<size_t>(token.id)] = token.special ? 3 : 4;
    std::fill(types.begin() + spec.vocabulary.size(), types.end(), padding);
    return types;
  }
  static TokenizerSpec Spec() {
    const fs::path file = kTestData / "tokenizer" / "tokenizer.json";
    return ParseTokenizerJson(ReadTextFile(file, 1 << 24), file.string());
  }
  // Both give the same ids for texts that exercise every step.
  static void ExpectSame(const Tokenizer& got, const Tokenizer& want) {
    EXPECT_EQ(got.size(), want.size());
    EXPECT_EQ(got.Summary().added_tokens, want.Summary().added_tokens);
    std::vector<std::string> texts = {"", "Hello  world", "e\xCC\x81  \xE1\x84\x92\xE1\x85\xA1 <|USER|>x<|endoftext|>",
                                      "a\t\n\r\n   b", "\xF0\x9F\x98\x80 don't 1234"};
    const nlohmann::json vectors = nlohmann::json::parse(std::ifstream(kTestData / "tokenizer" / "vectors.json"));
    ASSERT_GT(vectors.size(), 50u);
    for (const auto& item : vectors) texts.push_back(item.at("text"));
    for (const std::string& text : texts) {
      for (const bool special : {false, true}) {
        ASSERT_EQ(got.Encode(text, {.parse_special = special}), want.Encode(text, {.parse_special = special})) << text;
      }
    }
    for (int32_t id = 0; id < want.size(); ++id) {
      ASSERT_EQ(got.TokenBytes(id), want.TokenBytes(id));
      ASSERT_EQ(got.TokenSpelling(id), want.TokenSpelling(id));
      ASSERT_EQ(got.IsSpecial(id), want.IsSpecial(id)) << id;
    }
  }
};

TEST_F(GgufTokenizerTest, ListsGiveTheIdsOfTheJson) {
  const Tokenizer got = Read();
  EXPECT_TRUE(got.warnings().empty());
  ExpectSame(got, Tokenizer(Spec(), {.model_vocab_size = 1000}));
}

TEST_F(GgufTokenizerTest, ListsAreWrittenBackAsAJson) {
  Read();
  const GgufFile file(File());
  const std::string json = WriteTokenizerJson(ReadGgufTokenizer(file.header()));
  ExpectSame(Tokenizer::FromJson(json, "written", {.model_vocab_size = 1000}),
             Tokenizer(Spec(), {.model_vocab_size = 1000}));
}

TEST_F(GgufTokenizerTest, TheCarriedJsonIsPreferred) {
  const std::string json = ReadTextFile(kTestData / "tokenizer" / "tokenizer.json", 1 << 24);
  const Tokenizer got = Read([&](GgufMetadata& m) {
    m.SetTexts("tokenizer.ggml.tokens", std::vector<std::string>{"nonsense"});
    m.SetText("tokenizer.huggingface.json", json);
  });
  ExpectSame(got, Tokenizer(Spec(), {.model_vocab_size = 1000}));
  EXPECT_THAT(RefusalOf([](GgufMetadata& m) { m.SetText("tokenizer.huggingface.json", "{"); }),
              HasSubstr("key \"tokenizer.huggingface.json\""));
}

// Converters of November 2023 to mid-2024 typed padding rows as user-defined, older ones not at all.
TEST_F(GgufTokenizerTest, PaddingRowsAreNoTokens) {
  const Tokenizer want(Spec(), {.model_vocab_size = 1000});
  for (const int32_t type : {1, 3, 4, 5}) {
    const Tokenizer got = Read([&](GgufMetadata& m) { m.SetArray<int32_t>(kTypes, Types(type)); });
    EXPECT_TRUE(got.warnings().empty());
    ExpectSame(got, want);
    EXPECT_EQ(got.TokenBytes(900), "");
    for (const int32_t id : got.Encode("x[PAD900]", {.parse_special = true})) EXPECT_LT(id, want.size());
  }
  // One that is not its own id is a token, one between others is never found in a text.
  std::vector<std::string> tokens = Tokens();
  tokens[999] = "[PAD1]";
  EXPECT_EQ(Read([&](GgufMetadata& m) {
              m.SetTexts(kTokens, tokens);
              m.SetArray<int32_t>(kTypes, Types(4));
            }).size(),
            1000);
  tokens[999] = "last";
  const Tokenizer between = Read([&](GgufMetadata& m) {
    m.SetTexts(kTokens, tokens);
    m.SetArray<int32_t>(kTypes, Types(4));
  });
  EXPECT_EQ(between.size(), 1000);
  EXPECT_EQ(between.Encode("[PAD900]"), want.Encode("[PAD900]"));
  EXPECT_EQ(between.Encode("last"), std::vector<int32_t>{999});
}

// Added tokens are those that no merge makes. Converters until November 2023 wrote no types, or all of them normal.
TEST_F(GgufTokenizerTest, WithoutTypesGivesTheSameIds) {
  const Tokenizer want(Spec(), {.model_vocab_size = 1000});
  const std::vector<int32_t> normal(1000, 1);
  for (const bool key : {false, true}) {
    const Tokenizer got = Read([&](GgufMetadata& m) {
      m.Remove(kTypes);
      if (key) m.SetArray<int32_t>(kTypes, normal);
    });
    ExpectSame(got, want);
    ASSERT_EQ(got.warnings().size(), 1u);
    EXPECT_THAT(got.warnings()[0],
                AllOf(HasSubstr("token_type"), HasSubstr("28 tokens"), testing::Not(HasSubstr("other ids"))));
  }
}

TEST_F(GgufTokenizerTest, WithoutTypesTokensThatKeysNameAreSpecial) {
  std::vector<std::string> tokens = Tokens();
  tokens[726] = "</s>";
  tokens[727] = "<end>";
  const Tokenizer got = Read([&](GgufMetadata& m) {
    m.Remove(kTypes);
    m.SetTexts(kTokens, tokens);
    m.Set<uint32_t>("tokenizer.ggml.eot_token_id", 726);
  });
  EXPECT_TRUE(got.IsSpecial(726));
  EXPECT_FALSE(got.IsSpecial(727));  // nothing says so, and a text may hold it
  EXPECT_EQ(got.Encode("</s>", {.parse_special = true}), std::vector<int32_t>{726});
  EXPECT_GT(got.Encode("<end>").size(), 1u);
}

// The first converter for this architecture wrote each token as its bytes, and no added tokens beyond the vocabulary.
TEST_F(GgufTokenizerTest, TokensMayBeWrittenAsBytes) {
  const Tokenizer want(Spec(), {.model_vocab_size = 1000});
  std::vector<std::string> tokens;
  for (int32_t id = 0; id < want.size(); ++id) tokens.emplace_back(want.TokenBytes(id));
  const Tokenizer all = Read([&](GgufMetadata& m) {
    m.Remove(kTypes);
    m.SetTexts(kTokens, tokens);
  });
  ExpectSame(all, want);
  constexpr size_t kVocabulary = 700;
  tokens.resize(kVocabulary);
  const Tokenizer got = Read([&](GgufMetadata& m) {
    m.Remove(kTypes);
    m.SetTexts(kTokens, tokens);
  });
  EXPECT_EQ(got.size(), static_cast<int32_t>(kVocabulary));
  EXPECT_TRUE(got.IsSpecial(0));
  ASSERT_EQ(got.warnings().size(), 1u);
  EXPECT_THAT(got.warnings()[0], AllOf(HasSubstr("2 tokens"), HasSubstr("no runs of spaces")));  // 700 and on
  for (const char* text : {"Hello world", "a\t\n\r\nb", "\xF0\x9F\x98\x80 don't 1234", "\xC3\xA9\xE4\xB8\xAD"}) {
    EXPECT_EQ(got.Encode(text), want.Encode(text)) << text;
    EXPECT_EQ(got.Decode(got.Encode(text)), text);
  }
}

TEST_F(GgufTokenizerTest, NamesOfTheSplitting) {
  for (const char* pre : {"olmo", "mpt", "gpt-2", "default"}) {
    EXPECT_TRUE(Read([&](GgufMetadata& m) { m.SetText("tokenizer.ggml.pre", pre); }).warnings().empty()) << pre;
  }
  EXPECT_TRUE(Read([&](GgufMetadata& m) { m.Remove("tokenizer.ggml.pre"); }).warnings().empty());
  const Tokenizer other = Read([](GgufMetadata& m) { m.SetText("tokenizer.ggml.pre", "llama-bpe"); });
  ASSERT_EQ(other.warnings().size(), 1u);
  EXPECT_THAT(other.warnings()[0], HasSubstr("\"llama-bpe\""));
  const Tokenizer bos = Read([](GgufMetadata& m) { m.Set<bool>("tokenizer.ggml.add_bos_token", true); });
  ASSERT_EQ(bos.warnings().size(), 1u);
  EXPECT_THAT(bos.warnings()[0], HasSubstr("add_bos_token"));
}

TEST_F(GgufTokenizerTest, BrokenListsAreNamed) {
  const std::vector<std::string> one = {"a"};
  EXPECT_THAT(RefusalOf([](GgufMetadata& m) { m.SetText("tokenizer.ggml.model", "llama"); }),
              AllOf(HasSubstr("\"tokenizer.ggml.model\" (byte "), HasSubstr("another kind of tokenizer")));
  EXPECT_THAT(RefusalOf([](GgufMetadata& m) { m.Remove("tokenizer.ggml.tokens"); }), HasSubstr("no tokens"));
  EXPECT_THAT(RefusalOf([](GgufMetadata& m) { m.Set<uint32_t>("tokenizer.ggml.tokens", 3); }),
              HasSubstr("expected an array of string"));
  EXPECT_THAT(RefusalOf([](GgufMetadata& m) { m.Remove("tokenizer.ggml.merges"); }), HasSubstr("merges"));
  EXPECT_THAT(
      RefusalOf([](GgufMetadata& m) { m.SetArray<int32_t>("tokenizer.ggml.token_type", std::vector<int32_t>{1}); }),
      HasSubstr("found 1, expected 1000"));
  EXPECT_THAT(RefusalOf([](GgufMetadata& m) {
                m.SetArray<int32_t>("tokenizer.ggml.token_type", std::vector<int32_t>(1000, 7));
              }),
              HasSubstr("tokenizer.ggml.token_type[0]"));
  EXPECT_THAT(RefusalOf([](GgufMetadata& m) {
                m.SetTexts("tokenizer.ggml.merges", std::vector<std::string>{"a b", "ab"});
              }),
              AllOf(HasSubstr("tokenizer.ggml.merges["), HasSubstr("(its key at byte ")));
  EXPECT_THAT(
      RefusalOf([](GgufMetadata& m) { m.SetTexts("tokenizer.ggml.merges", std::vector<std::string>{"a \xC3\xA9"}); }),
      HasSubstr("not in the vocabulary"));
  EXPECT_THAT(RefusalOf([](GgufMetadata& m) {
                m.SetTexts("tokenizer.ggml.tokens", std::vector<std::string>(1000, "a"));
                m.Remove("tokenizer.ggml.token_type");
              }),
              HasSubstr("occurs twice"));
  EXPECT_THAT(ErrorText([&] {
                GgufMetadata metadata;
                SetTokenizerKeys(Spec(), 100, 0, 0, metadata);
              }),
              HasSubstr("does not fit the model"));
}

// A file with only llama.cpp's lists: no tensors, no model configuration.
TEST_F(GgufTokenizerTest, AFileWithoutWeightsHasATokenizer) {
  GgufMetadata metadata;
  SetTokenizerKeys(Spec(), 1000, 0, 0, metadata);
  GgufWriter(File(), metadata, {}).Commit();
  const auto source = ModelSource::Open(File().string());
  EXPECT_TRUE(source->HasTokenizer());
  EXPECT_EQ(source->ReadTokenizer().Encode("Hello").size(), Tokenizer(Spec()).Encode("Hello").size());
}

// --- Metadata ---

TEST_F(GgufModel, LicenceAndSmallFilesAreCarried) {
  const fs::path folder = Tiny();
  WriteTextFileAtomically(folder / "README.md", "---\nlanguage: en\nlicense: cc-by-sa-4.0\n---\n# Tiny\n");
  WriteTextFileAtomically(folder / "stablelm_chat.json", "{\"template\": \"alpaca\"}");
  WriteTextFileAtomically(folder / "generation_config.json", "{\"temperature\": 0.5}");
  WriteGgufOf(folder, File());
  const auto source = ModelSource::Open(File().string());
  EXPECT_EQ(source->gguf()->header().Text("general.license"), "cc-by-sa-4.0");
  EXPECT_EQ(source->gguf()->header().Text("general.name"), "tiny");
  EXPECT_EQ(source->ReadText("stablelm_chat.json", 1000)->text, "{\"template\": \"alpaca\"}");
  EXPECT_EQ(source->ReadText("stablelm_chat.json", 1000)->from, "stablelm.chat");
  EXPECT_EQ(source->ReadText("generation_config.json", 1000)->text, "{\"temperature\": 0.5}");
  EXPECT_THAT(ErrorText([&] { source->ReadText("generation_config.json", 5); }), HasSubstr("too large"));
  EXPECT_FALSE(source->ReadText("tokenizer_config.json", 1000));
}

TEST_F(GgufModel, LicenceOfAReadme) {
  EXPECT_EQ(LicenceOfReadme("---\nlicense: mit\n---\n"), "mit");
  EXPECT_EQ(LicenceOfReadme("---\r\nlicense: \"cc-by-nc-sa-4.0\"\r\n---\r\n"), "cc-by-nc-sa-4.0");
  EXPECT_EQ(LicenceOfReadme("license: mit\n"), "");
  EXPECT_EQ(LicenceOfReadme("---\nother: x\n---\nlicense: mit\n"), "");
  EXPECT_EQ(LicenceOfReadme(""), "");
  for (const std::string readme : {"---\nlicense: mit\nx: y\n---\nText.\n", "---\nx: y\n---\n", "Text.\n", "", "---",
                                   "---\r\nlicense: \"mit\"\r\n---\r\nlicense: no\r\n"}) {
    EXPECT_EQ(LicenceOfReadme(ReadmeWithLicence(readme, "apache-2.0")), "apache-2.0") << readme;
  }
  EXPECT_EQ(ReadmeWithLicence("---\nlicense: mit\nx: y\n---\nText.\n", "a"), "---\nlicense: a\nx: y\n---\nText.\n");
  EXPECT_EQ(ReadmeWithLicence("---\nx: y\n---\n", "a"), "---\nlicense: a\nx: y\n---\n");
  EXPECT_EQ(ReadmeWithLicence("Text.\n", "a"), "---\nlicense: a\n---\nText.\n");
}

}  // namespace
}  // namespace stablelm
