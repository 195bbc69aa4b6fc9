// Compares the golden model folders, as our readers read them, with PyTorch and safetensors
// (data/golden_tensors.json, made by scripts/make_tensor_digests.py).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/sha256.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/tensor_values.h"
#include "ops/convert.h"
#include "test_paths.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
const fs::path kData = TestData();

nlohmann::json Expected() { return nlohmann::json::parse(std::ifstream(kData / "golden_tensors.json")); }

std::string DigestAsFloat(const std::byte* data, DType type, int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  ConvertValues(data, type, reinterpret_cast<std::byte*>(values.data()), DType::kF32, values.size());
  return Sha256Hex({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
}

TEST(GoldenTest, EveryTensorOfEveryFolderHasPyTorchsValues) {
  const nlohmann::json expected = Expected();
  ASSERT_GE(expected.size(), 11u);
  for (const auto& [name, tensors] : expected.items()) {
    SCOPED_TRACE(name);
    const auto folder = ModelFolder::Open((kData / "golden" / name).string());
    EXPECT_TRUE(folder->warnings().empty()) << folder->warnings()[0];
    int64_t parameters = 0;
    size_t seen = 0;
    for (const WeightFile& file : folder->files()) {
      for (const StoredTensor& tensor : file.tensors) {
        SCOPED_TRACE(tensor.name);
        ++seen;
        ASSERT_TRUE(tensors.contains(tensor.name));
        const nlohmann::json& want = tensors[tensor.name];
        EXPECT_EQ(want["shape"].get<std::vector<int64_t>>(),
                  std::vector<int64_t>(tensor.shape.dims().begin(), tensor.shape.dims().end()));
        ASSERT_TRUE(tensor.dtype);
        if (*tensor.dtype == DType::kBool) continue;
        const std::string type = want["dtype"];
        EXPECT_EQ(*tensor.dtype, type == "float32" ? DType::kF32 : type == "float16" ? DType::kF16 : DType::kBF16);
        std::vector<std::byte> bytes(tensor.bytes);
        GatherTensor(tensor, file.map->bytes(), bytes);
        EXPECT_EQ(want["sha256"], DigestAsFloat(bytes.data(), *tensor.dtype, tensor.shape.NumElements()));
      }
    }
    EXPECT_EQ(seen, tensors.size());
    for (const WeightEntry& entry : folder->table()) parameters += entry.shape.NumElements();
    EXPECT_EQ(parameters, folder->config().NumParameters());
  }
}

TEST(GoldenTest, EveryTensorHasItsValues) {
  const nlohmann::json expected = Expected();
  for (const auto& [name, tensors] : expected.items()) {
    SCOPED_TRACE(name);
    const auto folder = ModelFolder::Open((kData / "golden" / name).string());
    for (size_t i = 0; i < folder->table().size(); ++i) {
      SCOPED_TRACE(folder->table()[i].name);
      EXPECT_EQ(folder->TensorOf(i).shape, folder->table()[i].shape);
      const std::vector<float> values = FloatsOf(*folder, i);
      EXPECT_EQ(tensors[folder->TensorOf(i).name]["sha256"],
                DigestAsFloat(reinterpret_cast<const std::byte*>(values.data()), DType::kF32,
                              static_cast<int64_t>(values.size())));
    }
  }
}

}  // namespace
}  // namespace stablelm
