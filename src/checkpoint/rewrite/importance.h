// Importance matrices: for every matrix of a model how much each of its columns counts when it is quantized, the mean
// square of the activation that the column meets in a calibration text.
//
// The file is a GGUF as llama.cpp's imatrix writes it (general.type "imatrix"): for the matrix NAME, in GGUF's names,
// the sums NAME.in_sum2 [columns] and the number of tokens NAME.counts [1], both fp32. (The older .dat files are
// neither read nor written.)
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace stablelm {

struct ImportanceMatrix {
  std::map<std::string, std::vector<float>> columns;  // by GGUF's name of the matrix: mean squares, finite, >= 0
};

// Throws Error: not such a file, sums without counts or of another length, numbers that are not finite or negative.
ImportanceMatrix ReadImportance(const std::filesystem::path& path);

// What a calibration run gathered for one matrix.
struct ImportanceSums {
  std::string name;                  // GGUF's name of the matrix
  std::vector<double> squares = {};  // [columns]: sums over the tokens
  uint64_t tokens = 0;
};
struct ImportanceOrigin {
  std::string text;     // name of the calibration text
  uint32_t chunks = 0;  // windows of it that were read
  uint32_t chunk_tokens = 0;
};

// Atomically; the same sums give the same bytes. Throws Error: a sum that is not finite in fp32, a file that cannot be
// written.
void WriteImportance(const std::filesystem::path& path, std::span<const ImportanceSums> matrices,
                     const ImportanceOrigin& origin);

}  // namespace stablelm
