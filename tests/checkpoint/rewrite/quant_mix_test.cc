#include "checkpoint/rewrite/quant_mix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "error_text.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Model {
  explicit Model(int64_t width = 512, bool tied = false, int64_t layers = 16) {
    config.vocab_size = 100;
    config.hidden_size = width;
    config.n_layers = layers;
    config.n_heads = 4;
    config.intermediate_size = 4 * width;
    config.tie_word_embeddings = tied;
    table = WeightTable(config);
  }
  std::vector<DType> Types(std::string_view mix, const TypeOptions& options = {}) {
    warnings.clear();
    return ChooseTypes(QuantMixByName(mix, "--type"), options, table, &warnings);
  }
  DType Of(const std::vector<DType>& types, const std::string& name) const {
    for (size_t i = 0; i < table.size(); ++i) {
      if (table[i].name == name) return types[i];
    }
    ADD_FAILURE() << name;
    return DType::kBool;
  }
  ModelConfig config;
  std::vector<WeightEntry> table;
  std::vector<std::string> warnings;
};

TEST(QuantMix, NormsAndBiasesStayFp32) {
  Model model;
  for (const QuantMix& mix : QuantMixes()) {
    const std::vector<DType> types = model.Types(mix.name);
    for (size_t i = 0; i < types.size(); ++i) {
      ASSERT_TRUE(model.table[i].IsMatrix() || types[i] == DType::kF32) << model.table[i].name;
    }
    EXPECT_THAT(model.warnings, testing::IsEmpty());
  }
}

TEST(QuantMix, Q4_K_MGivesMoreToWhatIsSensitive) {
  Model model;
  const std::vector<DType> types = model.Types("q4_k_m");
  EXPECT_EQ(model.Of(types, "embed_out.weight"), DType::kQ6_K);
  EXPECT_EQ(model.Of(types, "gpt_neox.embed_in.weight"), DType::kQ4_K);
  std::string down;
  for (int layer = 0; layer < 16; ++layer) {
    const std::string prefix = "gpt_neox.layers." + std::to_string(layer) + ".";
    EXPECT_EQ(model.Of(types, prefix + "attention.query_key_value.weight"), DType::kQ5_K);
    EXPECT_EQ(model.Of(types, prefix + "attention.dense.weight"), DType::kQ4_K);
    EXPECT_EQ(model.Of(types, prefix + "mlp.dense_h_to_4h.weight"), DType::kQ4_K);
    down += model.Of(types, prefix + "mlp.dense_4h_to_h.weight") == DType::kQ6_K ? '6' : '4';
  }
  EXPECT_EQ(down, "6644644644644666");
}

TEST(QuantMix, TheOutputMatrixGetsAtLeastSixBits) {
  Model model;
  for (const char* mix : {"Q4_0", "Q4_K", "Q5_K"}) {
    EXPECT_EQ(model.Of(model.Types(mix), "embed_out.weight"), DType::kQ6_K);
  }
  EXPECT_EQ(model.Of(model.Types("Q8_0"), "embed_out.weight"), DType::kQ8_0);
  Model tied(512, true);
  EXPECT_EQ(tied.Of(tied.Types("Q4_K"), "gpt_neox.embed_in.weight"), DType::kQ6_K);
}

TEST(QuantMix, LaterRulesOverride) {
  Model model;
  TypeOptions options;
  options.rules = {ParseTensorRule("*=Q8_0", "--tensor"), ParseTensorRule("*.layers.1?.attention.*=F16", "--tensor"),
                   ParseTensorRule("token_embd.weight=bf16", "--tensor"),
                   ParseTensorRule("blk.7.ffn_*=Q5_K", "--tensor")};
  const std::vector<DType> types = model.Types("Q4_K", options);
  EXPECT_EQ(model.Of(types, "gpt_neox.layers.3.attention.dense.weight"), DType::kQ8_0);
  EXPECT_EQ(model.Of(types, "gpt_neox.layers.13.attention.dense.weight"), DType::kF16);
  EXPECT_EQ(model.Of(types, "gpt_neox.layers.13.attention.dense.bias"), DType::kF32);
  EXPECT_EQ(model.Of(types, "gpt_neox.embed_in.weight"), DType::kBF16);
  EXPECT_EQ(model.Of(types, "gpt_neox.layers.7.mlp.dense_4h_to_h.weight"), DType::kQ5_K);
  options.rules = {ParseTensorRule("*.bias=Q8_0", "--tensor")};
  EXPECT_THAT(ErrorText([&] { model.Types("Q4_K", options); }),
              AllOf(HasSubstr("meets no matrix"), HasSubstr("*.bias")));
}

TEST(QuantMix, RowsThatATypeDoesNotDivide) {
  Model model(96);  // 96 = 3 * 32, 384 = 1.5 * 256
  std::vector<DType> types = model.Types("Q4_K");
  EXPECT_EQ(model.Of(types, "embed_out.weight"), DType::kQ8_0);
  EXPECT_EQ(model.Of(types, "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"), DType::kQ8_0);
  EXPECT_THAT(model.warnings, testing::Contains(AllOf(HasSubstr("embed_out.weight"), HasSubstr("rows of 96"),
                                                      HasSubstr("stored as Q8_0"))));
  types = model.Types("Q4_0");
  EXPECT_EQ(model.Of(types, "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"), DType::kQ4_0);
  Model odd(40);
  types = odd.Types("Q8_0");
  EXPECT_EQ(odd.Of(types, "embed_out.weight"), DType::kF16);
  EXPECT_EQ(odd.Of(types, "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"), DType::kQ8_0);  // rows of 160
  EXPECT_THAT(ErrorText([&] { odd.Types("Q8_0", {.rules = {}, .strict = true}); }),
              AllOf(HasSubstr("rows of 40"), HasSubstr("`strict`"), HasSubstr("F16")));
}

TEST(QuantMix, NamesAndRulesThatAreWrong) {
  EXPECT_THAT(ErrorText([] { QuantMixByName("Q4_K_N", "--type"); }), AllOf(HasSubstr("--type"), HasSubstr("Q4_K_M")));
  EXPECT_THAT(ErrorText([] { ParseTensorRule("abc", "--tensor"); }), HasSubstr("PATTERN=TYPE"));
  EXPECT_THAT(ErrorText([] { ParseTensorRule("=Q8_0", "--tensor"); }), HasSubstr("PATTERN=TYPE"));
  EXPECT_THAT(ErrorText([] { ParseTensorRule("a=Q4_J", "--tensor"); }), HasSubstr("did you mean Q4_K"));
  EXPECT_EQ(ParseTensorRule("a=b=q5_k", "--tensor").pattern, "a=b");
}

TEST(QuantMix, Patterns) {
  EXPECT_TRUE(MatchesPattern("", ""));
  EXPECT_TRUE(MatchesPattern("", "**"));
  EXPECT_TRUE(MatchesPattern("abc", "a?c"));
  EXPECT_TRUE(MatchesPattern("aXbXc", "a*b*c"));
  EXPECT_TRUE(MatchesPattern("aab", "*ab"));
  EXPECT_TRUE(MatchesPattern("mississippi", "m*iss*ip*i"));
  EXPECT_FALSE(MatchesPattern("abc", "ab"));
  EXPECT_FALSE(MatchesPattern("abc", "abc?"));
  EXPECT_FALSE(MatchesPattern("", "?"));
  EXPECT_FALSE(MatchesPattern("mississippi", "m*iss*x*"));
  const std::string long_name(2000, 'a'), stars = [] {
    std::string text;
    for (int i = 0; i < 500; ++i) text += "a*";
    return text + "b";
  }();
  EXPECT_FALSE(MatchesPattern(long_name, stars));
}

}  // namespace
}  // namespace stablelm
