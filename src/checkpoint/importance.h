// Importance matrices: for every matrix of a model how much each of its columns counts when it is quantized, the mean
// square of the activation that the column meets in a calibration text.
//
// The file is a GGUF as llama.cpp's imatrix writes it (general.type "imatrix"): for the matrix NAME, in GGUF's names,
// the sums NAME.in_sum2 [columns] and the number of tokens NAME.counts [1], both fp32.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace stablelm {

struct ImportanceMatrix {
  std::map<std::string, std::vector<float>> columns;  // by GGUF's name of the matrix: mean squares, finite, >= 0
};

// Throws Error: not such a file, sums without counts or of another length, numbers that are not finite or negative.
ImportanceMatrix ReadImportance(const std::filesystem::path& path);

}  // namespace stablelm
