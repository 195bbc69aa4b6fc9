#include "checkpoint/describe/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/describe/weight_table.h"
#include "error_text.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Json = nlohmann::json;

Json Old() {
  return Json::parse(R"({
    "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "bos_token_id": 0, "eos_token_id": 0,
    "hidden_act": "gelu", "hidden_size": 64, "initializer_range": 0.02, "intermediate_size": 256,
    "layer_norm_eps": 1e-05, "max_position_embeddings": 128, "num_attention_heads": 4, "num_hidden_layers": 3,
    "rotary_emb_base": 10000, "rotary_pct": 0.25, "tie_word_embeddings": false, "torch_dtype": "float16",
    "transformers_version": "4.28.1", "use_cache": true, "use_parallel_residual": true, "vocab_size": 512})");
}

Json New() {
  Json json = Old();
  json.erase("architectures");
  json.erase("rotary_emb_base");
  json.erase("rotary_pct");
  json.erase("torch_dtype");
  json["dtype"] = "bfloat16";
  json["pad_token_id"] = nullptr;
  json["rope_parameters"] = {{"partial_rotary_factor", 1.0}, {"rope_theta", 500.0}, {"rope_type", "default"}};
  return json;
}

ModelConfig Parse(const Json& json, std::vector<std::string>* warnings = nullptr) {
  return ParseConfig(json.dump(), "config.json", warnings);
}
std::string Refusal(const Json& json) {
  return ErrorText([&] { Parse(json); });
}
Json With(const char* key, const Json& value) {
  Json json = Old();
  json[key] = value;
  return json;
}

TEST(ConfigTest, OldSpelling) {
  std::vector<std::string> warnings;
  const ModelConfig config = Parse(Old(), &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_EQ(config.vocab_size, 512);
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.n_layers, 3);
  EXPECT_EQ(config.n_heads, 4);
  EXPECT_EQ(config.head_dim(), 16);
  EXPECT_EQ(config.intermediate_size, 256);
  EXPECT_EQ(config.max_positions, 128);
  EXPECT_EQ(config.rotary_dims, 4);
  EXPECT_EQ(config.rotary_share, 0.25);
  EXPECT_EQ(config.rotary_base, 10000);
  EXPECT_EQ(config.layer_norm_eps, 1e-5);
  EXPECT_EQ(config.activation, Activation::kGeluErf);
  EXPECT_TRUE(config.parallel_residual);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_THAT(config.eos_ids, ElementsAre(0));
  EXPECT_EQ(config.stored_dtype, DType::kF16);
}

TEST(ConfigTest, NewSpelling) {
  std::vector<std::string> warnings;
  const ModelConfig config = Parse(New(), &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_EQ(config.rotary_dims, 16);
  EXPECT_EQ(config.rotary_share, 1.0);
  EXPECT_EQ(config.rotary_base, 500);
  EXPECT_EQ(config.stored_dtype, DType::kBF16);
}

// Neither changes what is computed: the weight files tell their types.
TEST(ConfigTest, TypesThatDisagreeAreAWarning) {
  std::vector<std::string> warnings;
  EXPECT_EQ(Parse(With("dtype", "float32"), &warnings).stored_dtype, DType::kF32);
  EXPECT_THAT(warnings, ElementsAre(AllOf(HasSubstr("\"torch_dtype\" \"float16\""), HasSubstr("\"dtype\""))));
}

TEST(ConfigTest, NumbersThatAreNotFinite) {
  std::string text = With("layer_norm_eps", 7).dump();
  text.replace(text.find(":7"), 2, ":NaN");
  EXPECT_THAT(ErrorText([&] { ParseConfig(text, "c", nullptr); }),
              AllOf(HasSubstr("layer_norm_eps"), HasSubstr("found NaN")));
  text = With("attention_dropout", 7).dump();
  text.replace(text.find(":7"), 2, ":NaN");
  EXPECT_EQ(ErrorText([&] { ParseConfig(text, "c", nullptr); }), "");
}

TEST(ConfigTest, BothSpellingsMustAgree) {
  Json json = Old();
  json["partial_rotary_factor"] = 0.25;
  json["rope_theta"] = 10000.0;
  json["rope_parameters"] = {{"partial_rotary_factor", 0.25}, {"rope_theta", 10000.0}, {"rope_type", "default"}};
  EXPECT_EQ(Refusal(json), "");
  json["rope_parameters"]["partial_rotary_factor"] = 0.5;
  EXPECT_THAT(Refusal(json), AllOf(HasSubstr("rope_parameters.partial_rotary_factor"), HasSubstr("disagrees"),
                                   HasSubstr("found 0.5"), HasSubstr("expected 0.25")));
  EXPECT_THAT(Refusal(With("rope_parameters", {{"rope_theta", 500}})), HasSubstr("disagrees with \"rotary_emb_base\""));
}

// transformers goes by model_type and the weights, and so does this program.
TEST(ConfigTest, WhatChangesNoArithmeticIsAWarning) {
  const auto warnings_of = [](const Json& json) {
    std::vector<std::string> warnings;
    Parse(json, &warnings);
    return warnings;
  };
  EXPECT_THAT(warnings_of(With("architectures", {"GPTNeoXModel"})), ElementsAre(HasSubstr("\"architectures\"")));
  EXPECT_THAT(warnings_of(With("auto_map", {{"AutoModel", "modeling.X"}})), ElementsAre(HasSubstr("never run")));
  EXPECT_THAT(warnings_of(With("head_dim", 16)), IsEmpty());
  EXPECT_THAT(Refusal(With("head_dim", 8)), AllOf(HasSubstr("\"head_dim\""), HasSubstr("found 8, expected 16")));
  Json json = With("rope_theta", 500);
  json["partial_rotary_factor"] = 0.5;
  EXPECT_THAT(warnings_of(json),
              ElementsAre(HasSubstr("\"partial_rotary_factor\" 0.5"), HasSubstr("\"rope_theta\" 500")));
  EXPECT_EQ(Parse(json).rotary_base, 10000);
  json = Old();
  json.erase("max_position_embeddings");
  EXPECT_THAT(warnings_of(json), ElementsAre(HasSubstr("2048")));
  EXPECT_EQ(Parse(json).max_positions, 2048);
  EXPECT_THAT(warnings_of(With("eos_token_id", {5, 512, -1})),
              ElementsAre(HasSubstr("512 is no token"), HasSubstr("-1 is no token")));
  EXPECT_THAT(Parse(With("eos_token_id", {5, 512, -1})).eos_ids, ElementsAre(5));
  for (const Json& none : {Json::array(), Json(512)}) {
    EXPECT_THAT(Parse(With("eos_token_id", none)).eos_ids, ElementsAre(0));
    EXPECT_THAT(warnings_of(With("eos_token_id", none)), testing::Contains(HasSubstr("taking 0 (<|endoftext|>)")));
  }
  EXPECT_THAT(warnings_of(With("bos_token_id", 100000)), ElementsAre(HasSubstr("\"bos_token_id\" 100000")));
  EXPECT_EQ(Parse(With("hidden_act", "gelu_python")).activation, Activation::kGeluErf);
  EXPECT_EQ(Parse(With("hidden_act", "gelu_accurate")).activation, Activation::kGeluTanh);
}

TEST(ConfigTest, RotaryScalingIsRefused) {
  EXPECT_EQ(Refusal(With("rope_scaling", nullptr)), "");
  EXPECT_EQ(Refusal(With("rope_scaling", {{"rope_type", "default"}})), "");
  EXPECT_THAT(Refusal(With("rope_scaling", {{"type", "linear"}, {"factor", 2.0}})), HasSubstr("rope_scaling"));
  EXPECT_THAT(Refusal(With("rope_scaling", {{"type", "dynamic"}})), HasSubstr("unsupported rotary scaling"));
  EXPECT_THAT(Refusal(With("rope_parameters", {{"rope_type", "yarn"}})), HasSubstr("unsupported rotary scaling"));
  EXPECT_EQ(Refusal(With("rope_scaling", {{"type", "linear"}, {"factor", 1.0}})), "");
  EXPECT_EQ(Refusal(With("rope_parameters", {{"beta_fast", 32}})), "");
  std::vector<std::string> warnings;
  Parse(With("rope_parameters", {{"beta_fast", 32}}), &warnings);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("\"rope_parameters.beta_fast\" 32")));
  EXPECT_THAT(Refusal(With("rope_parameters", 3)), HasSubstr("not an object"));
}

TEST(ConfigTest, OtherFamiliesAreNamed) {
  EXPECT_THAT(Refusal(With("model_type", "stablelm")),
              AllOf(HasSubstr("found \"stablelm\""), HasSubstr("expected \"gpt_neox\""), HasSubstr("StableLM 2")));
  EXPECT_THAT(Refusal(With("model_type", "stablelm_epoch")), HasSubstr("3B-4E1T"));
  EXPECT_THAT(Refusal(With("model_type", "stablelm_alpha")), HasSubstr("Alpha v2"));
  EXPECT_THAT(Refusal(With("model_type", "gpt_neox_japanese")), HasSubstr("Japanese"));
  EXPECT_THAT(Refusal(With("model_type", "llama")), HasSubstr("LLaMA"));
  EXPECT_THAT(Refusal(With("model_type", "no_such")), HasSubstr("GPT-NeoX models (StableLM-Alpha) only"));
  EXPECT_THAT(Refusal(With("model_type", nullptr)), HasSubstr("missing"));
  EXPECT_THAT(Refusal(With("quantization_config", {{"bits", 4}})), HasSubstr("quantized weights"));
}

TEST(ConfigTest, BadSizes) {
  EXPECT_THAT(Refusal(With("vocab_size", 0)), HasSubstr("\"vocab_size\""));
  EXPECT_THAT(Refusal(With("vocab_size", -5)), HasSubstr("bad size"));
  EXPECT_THAT(Refusal(With("vocab_size", (1 << 20) + 1)), HasSubstr("from 1 to 1048576"));
  EXPECT_THAT(Refusal(With("vocab_size", 18446744073709551615u)), HasSubstr("bad size"));
  EXPECT_THAT(Refusal(With("vocab_size", 512.0)), HasSubstr("bad size"));
  EXPECT_THAT(Refusal(With("vocab_size", "512")), HasSubstr("bad size"));
  EXPECT_THAT(Refusal(With("vocab_size", nullptr)), HasSubstr("missing"));
  EXPECT_THAT(Refusal(With("hidden_size", 65537)), HasSubstr("bad size"));
  EXPECT_THAT(Refusal(With("num_hidden_layers", 513)), HasSubstr("bad size"));
  EXPECT_THAT(Refusal(With("num_attention_heads", 5)), HasSubstr("does not divide"));
  EXPECT_THAT(Refusal(With("num_attention_heads", 64)), HasSubstr("must be even"));
  EXPECT_THAT(Refusal(With("intermediate_size", 0)), HasSubstr("bad size"));
  EXPECT_THAT(Refusal(With("max_position_embeddings", 0)), HasSubstr("bad size"));
}

TEST(ConfigTest, BadRotary) {
  for (const double share : {0.0, -0.25, 1.5, 0.01}) EXPECT_NE(Refusal(With("rotary_pct", share)), "") << share;
  EXPECT_THAT(Refusal(With("rotary_pct", 0.2)), HasSubstr("3 of 16 dimensions"));
  EXPECT_THAT(Refusal(With("rotary_pct", "0.25")), HasSubstr("not a number"));
  EXPECT_THAT(Refusal(With("rotary_pct", 0.01)), HasSubstr("0 of 16 dimensions"));
  for (const double base : {0.0, -1.0, 1e-4, 1e39}) {
    EXPECT_THAT(Refusal(With("rotary_emb_base", base)), HasSubstr("out of range")) << base;
  }
  for (const double base : {1e-3, 0.5, 1e14, 1e30}) EXPECT_EQ(Parse(With("rotary_emb_base", base)).rotary_base, base);
}

TEST(ConfigTest, EveryRefusalNamesTheNextStep) {
  for (const auto& [key, value] : std::vector<std::pair<const char*, Json>>{{"vocab_size", 0},
                                                                            {"num_attention_heads", 5},
                                                                            {"head_dim", 8},
                                                                            {"rotary_pct", 0},
                                                                            {"rotary_pct", 0.2},
                                                                            {"rotary_emb_base", 0},
                                                                            {"rope_scaling", 5},
                                                                            {"hidden_act", "relu"},
                                                                            {"layer_norm_eps", "x"},
                                                                            {"layer_norm_eps", 0},
                                                                            {"attention_bias", false},
                                                                            {"use_parallel_residual", 1},
                                                                            {"eos_token_id", "x"},
                                                                            {"model_type", "llama"},
                                                                            {"quantization_config", 5}}) {
    EXPECT_THAT(Refusal(With(key, value)), HasSubstr("\nhint:  ")) << key << " " << value;
  }
}

// Nobody draws random weights from it, and Python's numbers are wider.
TEST(ConfigTest, NumbersWithoutArithmeticNeverRefuseAModel) {
  for (const char* number : {"NaN", "Infinity", "-1", "1e999", "\"x\""}) {
    std::vector<std::string> warnings;
    std::string text = With("initializer_range", "HERE").dump();
    text.replace(text.find("\"HERE\""), 6, number);
    EXPECT_EQ(ParseConfig(text, "config.json", &warnings).initializer_range, 0.02) << number;
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("\"initializer_range\""))) << number;
  }
  EXPECT_EQ(Parse(With("initializer_range", 0.5)).initializer_range, 0.5);
}

// transformers does not look at them either; the weight files say their own types.
TEST(ConfigTest, ValuesThatChangeNothing) {
  for (const nlohmann::json& value : {nlohmann::json(5), nlohmann::json(true), nlohmann::json::array({1}),
                                      nlohmann::json::object(), nlohmann::json("int8")}) {
    for (const char* key : {"dtype", "torch_dtype"}) {
      std::vector<std::string> warnings;
      Parse(With(key, value), &warnings);
      EXPECT_THAT(warnings, testing::Contains(AllOf(HasSubstr(key), HasSubstr(value.dump())))) << value;
    }
  }
  for (const nlohmann::json& value : {nlohmann::json::object(), nlohmann::json::array(), nlohmann::json("")}) {
    EXPECT_EQ(Refusal(With("rope_scaling", value)), "") << value;
  }
}

TEST(ConfigTest, BadValues) {
  EXPECT_THAT(Refusal(With("hidden_act", "relu")), HasSubstr("unsupported activation"));
  for (const double eps : {0.0, -1e-5, 1e39}) EXPECT_THAT(Refusal(With("layer_norm_eps", eps)), HasSubstr("range"));
  EXPECT_THAT(Refusal(With("attention_bias", false)),
              AllOf(HasSubstr("without attention biases"), HasSubstr("transformers runs")));
  EXPECT_THAT(Refusal(With("rotary_pct", 0)), HasSubstr("without rotary positions"));
  EXPECT_THAT(Refusal(With("use_parallel_residual", 1)), HasSubstr("true or false"));
  EXPECT_THAT(Refusal(With("eos_token_id", "</s>")), AllOf(HasSubstr("not a token id"), HasSubstr("</s>")));
}

TEST(ConfigTest, ValuesThatChangeTheArithmeticComeFromTheFile) {
  EXPECT_FALSE(Parse(With("use_parallel_residual", false)).parallel_residual);
  EXPECT_TRUE(Parse(With("tie_word_embeddings", true)).tie_word_embeddings);
  EXPECT_THAT(Parse(With("eos_token_id", {5, 6})).eos_ids, ElementsAre(5, 6));
  for (const char* act : {"gelu_new", "gelu_fast", "gelu_pytorch_tanh"}) {
    EXPECT_EQ(Parse(With("hidden_act", act)).activation, Activation::kGeluTanh);
  }
}

TEST(ConfigTest, DefaultsAndUnknownKeysAreReported) {
  Json json = Old();
  for (const char* key :
       {"rotary_pct", "rotary_emb_base", "hidden_act", "layer_norm_eps", "use_parallel_residual", "eos_token_id"}) {
    json.erase(key);
  }
  json["sliding_window"] = 5;
  std::vector<std::string> warnings;
  const ModelConfig config = Parse(json, &warnings);
  EXPECT_THAT(config.eos_ids, ElementsAre(0));
  EXPECT_EQ(config.rotary_dims, 4);
  EXPECT_EQ(warnings.size(), 7u);
  EXPECT_THAT(warnings.back(), HasSubstr("unknown key \"sliding_window\""));
}

TEST(ConfigTest, BadJson) {
  const auto refusal = [](std::string_view text) { return ErrorText([&] { ParseConfig(text, "c"); }); };
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("[]"), HasSubstr("a JSON object"));
  EXPECT_THAT(refusal("{\n  \"a\": }"), HasSubstr("line 2, column 8"));
  EXPECT_THAT(refusal(R"({"vocab_size":1,"vocab_size":2})"), HasSubstr("\"vocab_size\" appears twice"));
  EXPECT_THAT(refusal(std::string_view("{}\0{}", 5)), HasSubstr("NUL"));
  EXPECT_THAT(refusal("{\"a\":\"\xFF\"}"), HasSubstr("UTF-8"));
  EXPECT_THAT(refusal("{\"layer_norm_eps\":1e999,\"model_type\":\"gpt_neox\""), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"a\":" + std::string(100000, '[')), HasSubstr("nested too deeply"));
}

TEST(ConfigTest, CountsOfTheReleasedModels) {
  EXPECT_EQ(ModelConfig::FromShapeName("3b")->NumParameters(), 3'637'321'728);
  EXPECT_EQ(ModelConfig::FromShapeName("7b")->NumParameters(), 7'868'755'968);
  EXPECT_FALSE(ModelConfig::FromShapeName("3B"));
  for (const char* name : {"3b", "7b"}) {
    const ModelConfig config = *ModelConfig::FromShapeName(name);
    int64_t sum = 0;
    for (const WeightEntry& entry : WeightTable(config)) sum += entry.shape.NumElements();
    EXPECT_EQ(sum, config.NumParameters());
    EXPECT_EQ(WeightTable(config).size(), 196u);
    EXPECT_EQ(config.head_dim(), 128);
  }
}

TEST(ConfigTest, WrittenConfigReadsBack) {
  for (Json json : {Old(), New()}) {
    json["eos_token_id"] = {1, 2};
    json["use_parallel_residual"] = false;
    json["hidden_act"] = "gelu_fast";
    const ModelConfig config = Parse(json);
    std::vector<std::string> warnings;
    const std::string text = WriteConfig(config, DType::kBF16);
    const ModelConfig again = ParseConfig(text, "written", &warnings);
    EXPECT_THAT(warnings, IsEmpty());
    EXPECT_EQ(WriteConfig(again, DType::kBF16), text);
    EXPECT_EQ(again.stored_dtype, DType::kBF16);
    EXPECT_EQ(again.rotary_dims, config.rotary_dims);
    EXPECT_EQ(again.rotary_base, config.rotary_base);
    EXPECT_EQ(again.layer_norm_eps, config.layer_norm_eps);
    EXPECT_EQ(again.hidden_act, "gelu_fast");
    EXPECT_FALSE(again.parallel_residual);
    EXPECT_THAT(again.eos_ids, ElementsAre(1, 2));
    const Json written = Json::parse(text);
    for (const char* key : {"rotary_pct", "rotary_emb_base", "rope_parameters", "torch_dtype", "architectures"}) {
      EXPECT_TRUE(written.contains(key)) << key;
    }
  }
}

TEST(WeightTableTest, IgnoredBuffers) {
  for (const char* name : {"gpt_neox.layers.0.attention.bias", "gpt_neox.layers.15.attention.masked_bias",
                           "gpt_neox.layers.3.attention.rotary_emb.inv_freq", "gpt_neox.rotary_emb.inv_freq"}) {
    EXPECT_TRUE(IsIgnoredBuffer(name)) << name;
  }
  for (const char* name :
       {"gpt_neox.layers.0.attention.dense.bias", "gpt_neox.layers.x.attention.bias", "gpt_neox.layers..attention.bias",
        "gpt_neox.layers.0", "attention.bias", "gpt_neox.layers.0.attention.bias2", "embed_out.weight"}) {
    EXPECT_FALSE(IsIgnoredBuffer(name)) << name;
  }
}

}  // namespace
}  // namespace stablelm
