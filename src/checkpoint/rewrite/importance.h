// Importance matrix: the weight of each column of a model's matrices for quantization, which is the mean square of the
// column's input activation over a calibration text.
//
// The file is GGUF as written by llama.cpp's imatrix (general.type "imatrix"): for each matrix NAME (its GGUF name) the
// sums NAME.in_sum2 [columns] and the number of tokens NAME.counts [1], both fp32. The .dat files that it wrote until
// mid-2025 are read too: number of matrices; for each its name, the number of calls that the sums are of, and the sums;
// then, optionally, the number of chunks and the name of the text. Numbers are int32, the sums fp32.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace stablelm {

struct ImportanceMatrix {
  std::map<std::string, std::vector<float>> columns;  // by the matrix's GGUF name: mean squares, finite, >= 0
};

// Throws Error: not an imatrix file, sums without counts or of another length, values negative or not finite, a .dat
// file that is truncated or has bytes left over.
ImportanceMatrix ReadImportance(const std::filesystem::path& path);

// Result of a calibration run for one matrix.
struct ImportanceSums {
  std::string name;                  // the matrix's GGUF name
  std::vector<double> squares = {};  // [columns]: sums over the tokens
  uint64_t tokens = 0;
};
struct ImportanceOrigin {
  std::string text;     // name of the calibration text
  uint32_t chunks = 0;  // number of windows read
  uint32_t chunk_tokens = 0;
};

// Writes the file atomically; the same sums give the same bytes. Throws Error: a sum that is not finite in fp32, a file
// that cannot be written, or one of this name, which is not replaced.
void WriteImportance(const std::filesystem::path& path, std::span<const ImportanceSums> matrices,
                     const ImportanceOrigin& origin);

}  // namespace stablelm
