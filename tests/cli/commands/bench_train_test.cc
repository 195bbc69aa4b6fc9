// stablelm bench train and fit --for finetune: the promised fields, the same plan, refused arguments.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iomanip>
#include <sstream>

#include "golden_command.h"
#include "program_error.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

ProgramResult Bench(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"bench", "train", "--threads", "2", "--no-machine"});
  return RunProgramBinary(arguments);
}

TEST(BenchTrain, TellsOfTheStepInEveryPrecision) {
  for (const char* precision : {"fp32", "bf16", "fp16"}) {
    const ProgramResult result = Bench({kParallel, "--precision", precision, "--batch", "2", "--context", "16",
                                        "--micro-batches", "2", "--recompute", "mlp", "--samples", "2", "--json"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json json = Json::parse(result.out);
    EXPECT_EQ(json.at("precision"), precision);
    EXPECT_EQ(json.at("trained"), json.at("parameters"));
    EXPECT_GT(json.at("tokens_per_s"), 0);
    EXPECT_LE(json.at("min"), json.at("tokens_per_s"));
    EXPECT_GE(json.at("max"), json.at("tokens_per_s"));
    EXPECT_GT(json.at("loss"), 0);
    EXPECT_TRUE(json.at("share").is_null());
    for (const char* part :
         {"forward", "loss", "input gradients", "weight gradients", "attention backward", "update", "rest"}) {
      EXPECT_TRUE(json.at("ms").contains(part)) << part;
    }
    const ProgramResult fit =
        RunProgramBinary({"fit", kParallel, "--for", "finetune", "--precision", precision, "--batch", "2", "--context",
                          "16", "--recompute", "mlp", "--threads", "2", "--json"});
    EXPECT_EQ(Json::parse(fit.out).at("total_bytes"), json.at("planned_bytes"));
  }
}

TEST(BenchTrain, TrainsWhatIsNamedAndReadsShapes) {
  const ProgramResult some = Bench({kParallel, "--context", "8", "--samples", "1", "--trained", "*.layers.2.*bias",
                                    "--trained", "embed_out*", "--json"});
  ASSERT_EQ(some.exit_code, 0) << some.err;
  const Json json = Json::parse(some.out);
  EXPECT_EQ(json.at("trained"), 64 + 64 + 192 + 64 + 256 + 64 + 512 * 64);
  const ProgramResult shape = Bench({"--shape", kParallel, "--context", "8", "--samples", "1", "--csv"});
  ASSERT_EQ(shape.exit_code, 0) << shape.err;
  EXPECT_THAT(shape.out, HasSubstr("tokens_per_s"));
  const ProgramResult text = Bench({"--shape", kParallel, "--context", "8", "--samples", "1", "--md"});
  EXPECT_THAT(text.out, HasSubstr("| weight gradients |"));
}

TEST(BenchTrain, BadArgumentsAreRefused) {
  const auto refused = [](std::vector<std::string> arguments, const std::string& words, const std::string& found) {
    const ProgramResult result = Bench(std::move(arguments));
    EXPECT_NE(result.exit_code, 0) << words;
    EXPECT_THAT(result.err, testing::AllOf(HasSubstr(words), HasSubstr(found)));
    EXPECT_TRUE(result.out.empty());
  };
  refused({kParallel, "--batch", "0"}, "--batch", "found \"0\"");
  refused({kParallel, "--context", "4096"}, "--context", "found 4096");
  refused({kParallel, "--recompute", "maybe"}, "--recompute", "maybe");
  refused({kParallel, "--precision", "int8"}, "--precision", "int8");
  refused({kParallel, "--trained", "*.layers.9.*"}, "trained parameters", "*.layers.9.*");
  refused({kParallel, "--shape", "3b"}, "given twice", "");
  refused({"--shape", "3b", "--batch", "512", "--context", "4096"}, "does not fit", "activations kept");
  refused({"--shape", "13b"}, "found \"13b\"", "hint:");
  refused({"--shape", "no/such/file"}, "found \"no/such/file\"", "config.json: --shape FOLDER/config.json");
  refused({kParallel, "--dtype", "bf16"}, "--dtype", "--precision is the arithmetic of training");
  const ProgramResult none = Bench({kParallel, "--targets", "0", "--context", "8", "--samples", "1", "--json"});
  EXPECT_EQ(Json::parse(none.out).at("gflops"), 0) << none.err;  // a step without targets computes nothing
  refused({kParallel, "--targets", "1.5"}, "--targets", "1.5");
  const TempFolder temp;
  const std::string file = (temp.path() / "q8.gguf").string();
  ASSERT_EQ(RunProgramBinary({"quantize", kParallel, file, "Q8_0", "--quiet"}).exit_code, 0);
  refused({file}, "quantized matrices cannot be trained", "Q8_0");
}

TEST(FitForFinetune, CountsEighteenBytesForEachParameterInBf16) {
  for (const auto& [shape, bytes] : {std::pair{"3b", 65.47e9}, std::pair{"7b", 141.64e9}}) {
    const ProgramResult result = RunProgramBinary(
        {"fit", "--shape", shape, "--for", "finetune", "--precision", "bf16", "--context", "512", "--json"});
    const Json json = Json::parse(result.out);
    double sum = 0;
    for (const Json& part : json.at("parts")) {
      const std::string name = part.at("name");
      if (name == "weights (bf16)" || name == "master weights" || name == "gradients" || name == "moments of AdamW") {
        sum += part.at("bytes").get<double>();
      }
    }
    EXPECT_NEAR(sum, bytes, 1e-3 * bytes);
  }
  const ProgramResult mixed = RunProgramBinary({"fit", kParallel, "--for", "finetune", "--kv", "q8"});
  EXPECT_EQ(mixed.exit_code, 2);
  EXPECT_THAT(mixed.err, HasSubstr("--precision"));
  const ProgramResult generation = RunProgramBinary({"fit", kParallel, "--precision", "bf16"});
  EXPECT_EQ(generation.exit_code, 2);
  EXPECT_THAT(generation.err, HasSubstr("--for finetune"));
}

// The plan by which `bench train` runs is the one that `fit` prints.
TEST(FitForFinetune, PlansAdapters) {
  const TempFolder temp;
  const std::string file = (temp.path() / "q8.gguf").string();
  ASSERT_EQ(RunProgramBinary({"quantize", kParallel, file, "Q8_0", "--quiet"}).exit_code, 0);
  const auto total = [](std::vector<std::string> words) {
    words.insert(words.begin(), {"fit", "--for", "finetune", "--context", "8", "--json"});
    const ProgramResult result = RunProgramBinary(words);
    return result.out.empty() ? 0 : Json::parse(result.out).at("total_bytes").get<uint64_t>();
  };
  for (const std::vector<std::string>& of :
       std::vector<std::vector<std::string>>{{kParallel}, {kParallel, "--precision", "bf16"}, {file}}) {
    std::vector<std::string> words = of;
    words.insert(words.end(), {"--lora", "4", "--context", "8", "--samples", "1", "--no-machine", "--json"});
    const Json bench = Json::parse(Bench(words).out);
    words = of;
    words.insert(words.end(), {"--rank", "4"});
    EXPECT_EQ(total(words), bench.at("planned_bytes")) << testing::PrintToString(of);
  }
  const uint64_t shape = total({"--shape", "3b", "--rank", "16", "--recompute", "layer"});
  EXPECT_LT(shape, total({"--shape", "3b", "--rank", "64", "--recompute", "layer"}));
  EXPECT_LT(total({"--shape", "3b", "--rank", "16", "--recompute", "layer", "--quantize", "Q4_K"}), shape / 2);
  const auto refused = [](std::vector<std::string> words, const std::string& part) {
    words.insert(words.begin(), {"fit", kParallel});
    const ProgramResult result = RunProgramBinary(words);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr(part));
  };
  refused({"--rank", "4"}, "--for finetune");
  refused({"--for", "finetune", "--rank", "4", "--trained", "*"}, "contradicts --trained");
  refused({"--for", "finetune", "--quantize", "Q8_0"}, "--rank");
  refused({"--for", "finetune", "--rank", "4", "--precision", "fp16"}, "fp32 or bf16");
}

// The words of "--precision bf16 --trained \"*.layers.15.*\"", as a shell passes them.
std::vector<std::string> WordsOf(const std::string& options) {
  std::vector<std::string> words;
  std::istringstream in(options);
  for (std::string word; in >> std::quoted(word);) words.push_back(word);
  return words;
}

TEST(FitForFinetune, WhatWouldFitDoes) {
  const TempFolder temp;
  const std::string folder = (temp.path() / "model").string(), shape = (temp.path() / "config.json").string();
  Json config = Json::parse(std::ifstream(kParallel + "/config.json"));
  config["max_position_embeddings"] = 1 << 20;
  WriteFile(shape, config.dump());
  ASSERT_EQ(RunProgramBinary({"init", "--shape", shape, "--seed", "1", folder}).exit_code, 0);
  const std::vector<std::vector<std::string>> cases = {
      {folder, "--batch", "1048576"},  // more tokens than any machine has room for
      {folder, "--batch", "1048576", "--recompute", "layer"},
      {folder, "--batch", "1048576", "--context", "512"},
      {"--shape", "7b", "--batch", "8"},  // on most machines only with a few trained layers
      {"--shape", "3b", "--precision", "bf16", "--context", "4096"},
      {folder, "--rank", "4", "--batch", "1048576"},
      {"--shape", "7b", "--rank", "16", "--batch", "4"}};
  for (std::vector<std::string> words : cases) {
    words.insert(words.begin(), {"fit", "--for", "finetune", "--json"});
    SCOPED_TRACE(testing::PrintToString(words));
    const Json fit = Json::parse(RunProgramBinary(words).out);
    if (fit.at("fits")) continue;  // a large machine
    EXPECT_TRUE(words[4] != folder || !fit.at("would_fit").empty());
    for (const Json& cure : fit.at("would_fit")) {
      std::vector<std::string> cured = words;
      for (const std::string& word : WordsOf(cure.at("options"))) cured.push_back(word);
      const Json again = Json::parse(RunProgramBinary(cured).out);
      EXPECT_EQ(again.at("total_bytes"), cure.at("total_bytes")) << cure;
      EXPECT_LE(again.at("total_bytes"), fit.at("available_bytes")) << cure;
    }
  }
}

// 0 is what the options say it is.
TEST(FitForFinetune, ContextZeroIsTheModels) {
  const auto total = [](std::vector<std::string> words) {
    words.insert(words.begin(), {"fit", kParallel, "--for", "finetune", "--json"});
    return Json::parse(RunProgramBinary(words).out).at("total_bytes");
  };
  EXPECT_EQ(total({"--context", "0"}), total({}));
  EXPECT_NE(total({"--context", "16"}), total({}));
}

// Values of 1e30 leave the range of fp16 in the first product.
TEST(BenchTrain, SaysThatStepsOverflow) {
  const TempFolder temp;
  const std::string model = (temp.path() / "large").string();
  std::filesystem::create_directory(model);
  std::filesystem::copy_file(kParallel + "/config.json", model + "/config.json");
  std::ifstream in(kParallel + "/model.safetensors", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const size_t header = 8 + *reinterpret_cast<const uint64_t*>(bytes.data());
  const Json tensors = Json::parse(bytes.substr(8, header - 8));
  const Json& bias = tensors.at("gpt_neox.layers.0.attention.dense.bias");
  ASSERT_EQ(bias.at("dtype"), "F32");
  const float huge = 1e30f;
  std::memcpy(bytes.data() + header + bias.at("data_offsets")[0].get<size_t>(), &huge, sizeof huge);
  WriteFile(model + "/model.safetensors", bytes);
  const ProgramResult result = Bench({model, "--precision", "fp16", "--context", "16", "--samples", "1", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out).at("skipped_steps"), 3);
  EXPECT_THAT(result.err,
              testing::AllOf(HasSubstr("every step overflowed the range of fp16, first in "), HasSubstr("bf16")));
}

TEST(BenchTrain, ReadsTheMachinesFileBeforeTheSteps) {
  const TempFolder temp;
  const std::string file = (temp.path() / "peaks").string();
  const auto refused = [&](const std::string& name, const std::string& words) {
    const ProgramResult result =
        RunProgramBinary({"bench", "train", kParallel, "--context", "8", "--samples", "1", "--machine", name});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, testing::AllOf(HasSubstr(name), HasSubstr(words), testing::Not(HasSubstr("measuring"))));
  };
  WriteFile(file, "{\"a\": 1}");
  refused(file, "memory_gb_per_s");
  WriteFile(file, "none");
  refused(file, "not valid JSON");
  refused(temp.path().string(), "folder");
  refused(file + "s/none", "no such folder");
}

}  // namespace
}  // namespace stablelm
