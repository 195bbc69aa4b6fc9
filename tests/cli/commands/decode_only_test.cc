// Models stored as quantized types that nothing is computed with: decoded while loading, as the folder that `convert`
// makes of the file would be loaded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/gguf/gguf_testing.h"
#include "ops/convert.h"
#include "ops/quant/quant_row.h"
#include "program_error.h"
#include "saved_logits.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

struct DecodeOnlyType {
  DType type;
  std::vector<std::pair<size_t, float>> scales;  // byte offset in a block and value, so that weights are about 0.02
};
const DecodeOnlyType kTypes[] = {
    {DType::kQ4_1, {{0, 0.004f}, {2, -0.03f}}}, {DType::kQ5_0, {{0, 0.002f}}},
    {DType::kQ5_1, {{0, 0.002f}, {2, -0.03f}}}, {DType::kQ2_K, {{80, 0.002f}, {82, 0.004f}}},
    {DType::kQ3_K, {{108, 0.0004f}}},           {DType::kIQ4_NL, {{0, 0.0004f}}},
    {DType::kIQ4_XS, {{0, 0.00002f}}},
};

class DecodeOnly : public SavedLogits {
 protected:
  // The model of kWide with other matrices, random blocks of the type; the output matrix is Q6_K if `mixed`.
  fs::path Write(const DecodeOnlyType& of, bool mixed = false) const {
    const auto model = ModelFolder::Open(kWide);
    std::vector<DType> types;
    for (const WeightEntry& entry : model->table()) {
      types.push_back(!entry.IsMatrix()                            ? DType::kF32
                      : mixed && entry.kind == WeightKind::kOutput ? DType::kQ6_K
                                                                   : of.type);
    }
    const fs::path file = temp_.path() / (std::string(NameOf(of.type)) + (mixed ? "_mixed.gguf" : ".gguf"));
    GgufWriter writer(file, GgufMetadataOf(*model), GgufTensors(*model, types));
    uint32_t state = 1;
    for (size_t i = 0; i < types.size(); ++i) {
      const size_t n = static_cast<size_t>(model->table()[i].shape.NumElements());
      std::vector<std::byte> bytes(writer.TensorBytes(i));
      const StoredTensor& tensor = model->TensorOf(i);
      const std::byte* stored = model->FileOf(i).map->bytes().data() + tensor.offset;
      if (types[i] == DType::kF32) {
        ConvertValues(stored, *tensor.dtype, bytes.data(), DType::kF32, n);
      } else if (types[i] == DType::kQ6_K) {
        std::vector<float> values(n);
        ConvertToFloat(*tensor.dtype, stored, n, values.data());
        EncodeRow(types[i], values, {}, bytes.data());
      } else {
        for (std::byte& byte : bytes) {
          state = state * 1664525 + 1013904223;
          byte = static_cast<std::byte>(state >> 24);
        }
        for (size_t block = 0; block < bytes.size(); block += BlockBytes(of.type)) {
          for (const auto& [at, value] : of.scales) {
            const F16 half = ToF16(value);
            std::memcpy(&bytes[block + at], &half, sizeof half);
          }
        }
      }
      writer.WriteAt(i, 0, bytes);
    }
    writer.Commit();
    return file;
  }
  // The folder of fp32 weights that `convert` makes of a file.
  fs::path Folder(const fs::path& file) const {
    const fs::path folder = file.string() + ".folder";
    const ProgramResult result = RunProgramBinary({"convert", file.string(), folder.string()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return folder;
  }
};

TEST_F(DecodeOnly, RunsAsTheDecodedWeights) {
  for (const DecodeOnlyType& type : kTypes) {
    SCOPED_TRACE(NameOf(type.type));
    const fs::path file = Write(type), folder = Folder(file);
    std::string notes;
    const std::string stored = Logits(file, {}, &notes);
    EXPECT_EQ(stored, Logits(folder, {"--quantize", "Q8_0"}));
    EXPECT_THAT(notes, AllOf(HasSubstr("stored as " + std::string(NameOf(type.type)) + " are decoded while loading"),
                             HasSubstr("into Q8_0"), HasSubstr("--dtype")));
    const std::string wide = Logits(file, {"--dtype", "fp32"}, &notes);
    EXPECT_EQ(wide, Logits(folder));
    EXPECT_NE(wide, stored);
    EXPECT_THAT(notes, AllOf(HasSubstr("into fp32"), Not(HasSubstr("--dtype"))));
    EXPECT_EQ(Logits(file, {"--quantize", "Q4_K"}, &notes), Logits(folder, {"--quantize", "Q4_K"}));
    EXPECT_THAT(notes, HasSubstr("into Q4_K"));
  }
}

TEST_F(DecodeOnly, OtherTypesOfTheFileStayAsTheyAre) {
  const fs::path file = Write(kTypes[1], true);
  std::string notes;
  const std::string stored = Logits(file, {}, &notes);
  EXPECT_THAT(notes, AllOf(HasSubstr("Q5_0"), Not(HasSubstr("Q6_K"))));
  // As stored, or quantized as a whole, the output matrix has the same bits: Q6_K is what the mix gives it, too.
  const fs::path folder = Folder(file), q4 = temp_.path() / "q4.gguf", q8 = temp_.path() / "q8.gguf";
  ASSERT_EQ(RunProgramBinary({"quantize", "-m", file.string(), "--type", "Q4_K", q4.string(), "--quiet"}).exit_code, 0);
  EXPECT_EQ(Logits(file, {"--quantize", "Q4_K"}), Logits(q4));
  ASSERT_EQ(RunProgramBinary({"quantize", "-m", file.string(), "--type", "Q8_0", "--tensor", "output.weight=Q6_K",
                              q8.string(), "--quiet"})
                .exit_code,
            0);
  EXPECT_EQ(stored, Logits(q8));
}

TEST_F(DecodeOnly, FitCountsWhatTheyBecome) {
  const fs::path file = Write(kTypes[3]);
  const auto weights = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"fit", "--json", "-m"});
    const ProgramResult run = RunProgramBinary(more);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    uint64_t bytes = 0;
    const Json fit = Json::parse(run.out);
    for (const Json& part : fit.at("parts")) {
      if (part.at("name").get<std::string>().starts_with("weights")) bytes += part.at("bytes").get<uint64_t>();
    }
    return bytes;
  };
  const fs::path folder = Folder(file);
  for (const auto& [of_file, of_folder] :
       {std::pair<std::vector<std::string>, std::vector<std::string>>{{}, {"--quantize", "Q8_0"}},
        {{"--dtype", "fp16"}, {"--dtype", "fp16"}},
        {{"--quantize", "Q4_K"}, {"--quantize", "Q4_K"}}}) {
    std::vector<std::string> a = {file.string()}, b = {folder.string()};
    a.insert(a.end(), of_file.begin(), of_file.end());
    b.insert(b.end(), of_folder.begin(), of_folder.end());
    EXPECT_EQ(weights(a), weights(b));
  }
  EXPECT_THAT(RunProgramBinary({"fit", "-m", file.string()}).err, HasSubstr("Q2_K"));
}

TEST_F(DecodeOnly, ConvertKeepsOrDecodesThem) {
  const fs::path file = Write(kTypes[2]), copy = temp_.path() / "copy.gguf", half = temp_.path() / "half.gguf";
  ASSERT_EQ(RunProgramBinary({"convert", file.string(), copy.string()}).exit_code, 0);
  EXPECT_EQ(ReadTextFile(copy, 1 << 26), ReadTextFile(file, 1 << 26));
  ASSERT_EQ(RunProgramBinary({"convert", file.string(), half.string(), "--dtype", "fp16"}).exit_code, 0);
  EXPECT_EQ(Logits(half), Logits(file, {"--dtype", "fp16"}));
}

TEST_F(DecodeOnly, InspectNamesThem) {
  const ProgramResult shown = RunProgramBinary({"inspect", Write(kTypes[5], true).string()});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, AllOf(HasSubstr("IQ4_NL"), HasSubstr("Q6_K"), HasSubstr("decoded while loading")));
}

TEST_F(DecodeOnly, NoiseInAScaleIsRefused) {
  const DecodeOnlyType damaged = {DType::kQ4_1, {{0, std::numeric_limits<float>::infinity()}, {2, 0}}};
  const fs::path file = Write(damaged);
  EXPECT_THAT(RunProgramBinary({"generate", "-m", file.string(), "--ids", "1", "--max-new-tokens", "1"}),
              Fails(1, file.string() + ": tensor", {"Q8_0"}));
}

}  // namespace
}  // namespace stablelm
