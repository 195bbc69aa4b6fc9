// For tests that two ways to load or store a model give the same logits, bit for bit.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "golden_command.h"

namespace stablelm {

inline const std::string kWide = TestData("golden/head128_fp16");  // rows of 256 values: whole blocks of every type

class SavedLogits : public testing::Test {
 protected:
  // The bytes of the logits that `score` saves, with the options `more`. `notes`: what it says on standard error.
  std::string Logits(const std::filesystem::path& model, std::vector<std::string> more = {},
                     std::string* notes = nullptr) const {
    const std::filesystem::path ids = temp_.path() / "ids.json", out = temp_.path() / "logits.safetensors";
    WriteFile(ids, "[[5, 17, 90, 3, 44, 44, 7, 25, 61, 2, 77], [1, 2]]");
    more.insert(more.begin(),
                {"score", "-m", model.string(), "--ids-file", ids.string(), "--save-logits", out.string()});
    const ProgramResult run = RunProgramBinary(more);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    if (notes) *notes = run.err;
    return ReadTextFile(out, size_t{1} << 30);
  }
  const TempFolder temp_;
};

}  // namespace stablelm
