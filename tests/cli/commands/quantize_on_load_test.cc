// --quantize: the same logits, bit for bit, as the file that `stablelm quantize` writes; its messages and refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/tiny_model.h"
#include "ops/random/random_normal.h"
#include "program_error.h"
#include "saved_logits.h"
#include "test_paths.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

const std::string kOdd = TestData("golden/odd_width");            // rows are not whole blocks of any type
const std::string kShards = TestData("golden/bin_sharded_fp16");  // rows are multiples of 32 but not of 256

class QuantizeOnLoad : public SavedLogits {
 protected:
  std::string File(const std::string& model, const std::string& type) {
    const fs::path file = temp_.path() / (type + ".gguf");
    fs::remove(file);
    const ProgramResult result = RunProgramBinary({"quantize", "-m", model, "--type", type, file.string()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return file.string();
  }
};

TEST_F(QuantizeOnLoad, GivesTheBitsOfTheFile) {
  for (const char* type : {"Q8_0", "Q6_K", "Q5_K", "Q5_K_M", "Q4_K", "Q4_K_M", "Q4_0"}) {
    SCOPED_TRACE(type);
    const std::string file = Logits(File(kWide, type));
    EXPECT_EQ(Logits(kWide, {"--quantize", type, "--threads", "1"}), file);
    EXPECT_EQ(Logits(kWide, {"--quantize", type, "--threads", "3", "--check-weights"}), file);
    EXPECT_NE(Logits(kWide), file);
  }
}

TEST_F(QuantizeOnLoad, RowsThatATypeDoesNotDivideTakeAnother) {
  std::string notes;
  const std::string shards = Logits(kShards, {"--quantize", "q4_k"}, &notes);
  EXPECT_THAT(notes, AllOf(HasSubstr("stored as Q8_0"), HasSubstr("weights quantized to Q4_K while loading")));
  EXPECT_EQ(shards, Logits(File(kShards, "Q4_K")));
  const std::string odd = Logits(kOdd, {"--quantize", "Q4_0"}, &notes);
  EXPECT_THAT(notes, HasSubstr("stored as F16"));
  EXPECT_EQ(odd, Logits(File(kOdd, "Q4_0")));
}

TEST_F(QuantizeOnLoad, TakesEverySourceOfFloats) {
  const std::string want = Logits(File(kWide, "Q5_K"));
  const std::string gguf = File(kWide, "F16");
  EXPECT_EQ(Logits(gguf, {"--quantize", "Q5_K"}), want);  // QKV rows in another order
  // fp64, tied embeddings, and rows beyond the last whole panel.
  ModelConfig config = TinyConfig();
  config.vocab_size = 300;
  config.hidden_size = 256;
  config.n_heads = 4;
  config.intermediate_size = 512;
  config.rotary_dims = 32;
  config.tie_word_embeddings = true;
  const fs::path folder = temp_.path() / "double";
  fs::create_directories(folder);
  WriteTextFileAtomically(folder / "config.json", WriteConfig(config, DType::kF32));
  std::vector<TinyTensor> tensors = TinyTensors(config, DType::kF64);
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].values.resize(static_cast<size_t>(tensors[i].shape.NumElements()));
    FillNormal(3, i, 0, 0.05f, tensors[i].values.data(), tensors[i].values.size());
  }
  WriteTinySafetensors(folder / "model.safetensors", tensors);
  EXPECT_EQ(Logits(folder.string(), {"--quantize", "Q4_K"}), Logits(File(folder.string(), "Q4_K")));
}

TEST_F(QuantizeOnLoad, GenerateAndFitSayIt) {
  const ProgramResult result = RunProgramBinary(
      {"generate", "-m", kWide, "--quantize", "Q4_K", "--ids", "1 2 3", "--max-new-tokens", "4", "--greedy", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out).at("quantize"), "Q4_K");
  const auto fit = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"fit", "--json"});
    const ProgramResult run = RunProgramBinary(more);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return Json::parse(run.out);
  };
  const auto weights = [](const Json& plan) {
    uint64_t bytes = 0;
    for (const Json& part : plan.at("parts")) {
      if (part.at("name").get<std::string>().starts_with("weights")) bytes += part.at("bytes").get<uint64_t>();
    }
    return bytes;
  };
  const Json on_load = fit({"-m", kWide, "--quantize", "Q4_K"}), file = fit({"-m", File(kWide, "Q4_K")});
  EXPECT_EQ(weights(on_load), weights(file));
  EXPECT_EQ(on_load.at("anonymous_bytes"), file.at("total_bytes"));  // the embedding is not mapped from a file
  EXPECT_EQ(on_load.at("quantize"), "Q4_K");
  const uint64_t shape = weights(fit({"--shape", "3b", "--quantize", "Q4_K_M"}));
  EXPECT_NEAR(static_cast<double>(shape), 2.34e9, 0.01e9);  // the table of docs/quantizing.md
}

TEST_F(QuantizeOnLoad, RefusesWhatMakesNoSense) {
  const auto run = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", "--ids", "1", "--max-new-tokens", "1"});
    return RunProgramBinary(more);
  };
  EXPECT_THAT(run({"-m", File(kWide, "Q8_0"), "--quantize", "Q4_K"}),
              Fails(1, File(kWide, "Q8_0"), {"Q8_0", "--quantize"}));
  EXPECT_THAT(run({"-m", kWide, "--quantize", "Q4_KM"}), Fails(2, "--quantize", {"\"Q4_KM\"", "Q4_K_M?"}));
  EXPECT_THAT(run({"-m", kWide, "--quantize", "F16"}), Fails(2, "--quantize", {"\"F16\"", "--dtype"}));
  EXPECT_THAT(run({"-m", kWide, "--quantize", "Q8_0", "--dtype", "fp16"}), Fails(2, "--quantize", {"--dtype"}));
  EXPECT_THAT(RunProgramBinary({"fit", kWide, "--quantize", "Q8_0", "--dtype", "fp16"}),
              Fails(2, "--quantize", {"--dtype"}));
}

TEST_F(QuantizeOnLoad, NamesValuesThatABlockCannotHold) {
  for (const bool embedding : {true, false}) {
    const std::string tensor = embedding ? "gpt_neox.embed_in.weight" : "gpt_neox.layers.0.mlp.dense_h_to_4h.weight";
    ModelConfig config = TinyConfig();
    config.hidden_size = 64;
    config.intermediate_size = 64;
    const fs::path folder = temp_.path() / (embedding ? "a" : "b");
    fs::create_directories(folder);
    WriteTextFileAtomically(folder / "config.json", WriteConfig(config, DType::kF32));
    std::vector<TinyTensor> tensors = TinyTensors(config);
    for (TinyTensor& one : tensors) {
      if (one.name != tensor) continue;
      one.values.assign(static_cast<size_t>(one.shape.NumElements()), 1.0f);
      one.values[64 * 3 + 5] = std::numeric_limits<float>::infinity();
    }
    WriteTinySafetensors(folder / "model.safetensors", tensors);
    const ProgramResult result =
        RunProgramBinary({"generate", "-m", folder.string(), "--ids", "1", "--quantize", "Q8_0"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, AllOf(HasSubstr(tensor), HasSubstr("row 3, column 5"), HasSubstr("damaged")));
  }
}

}  // namespace
}  // namespace stablelm
