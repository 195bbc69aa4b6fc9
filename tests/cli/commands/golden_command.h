// For tests of commands that run a model: the project's golden folders, with a tokenizer added.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "generate/scoring.h"
#include "model/model_testing.h"
#include "ops/simd.h"
#include "run_program.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {

inline const std::string kParallel = TestData("golden/parallel");            // 512 ids, context of 128 tokens
inline const std::string kTokenizer = TestData("tokenizer/tokenizer.json");  // 726 ids

inline std::string Joined(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text.append(text.empty() ? "" : " ").append(std::to_string(id));
  return text;
}

// Copies the model with 1,000 ids (context of 256 tokens) and adds the small tokenizer, so that it works with text.
inline std::string ModelWithTokenizer(const TempFolder& temp) {
  const std::filesystem::path folder = temp.path() / "with_tokenizer";
  std::filesystem::copy(TestData("golden/head128_fp16"), folder);
  std::filesystem::copy_file(kTokenizer, folder / "tokenizer.json");
  return folder.string();
}

inline void WriteFile(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// The exact result of `score` for these ids, computed in the test on the SIMD target that the program selects.
inline std::vector<double> LogprobsHere(const Transformer& model, const std::vector<int32_t>& ids, DType kv) {
  const char* simd = std::getenv("STABLELM_SIMD");
  SelectSimdTarget(simd ? simd : "");
  ThreadPool pool(2);
  return Scorer(model, ShapeOfScore(static_cast<int64_t>(ids.size()), kv, 2), pool).Score(ids);
}

// Parses the objects of a --json run, one per line.
inline std::vector<nlohmann::json> JsonLines(const std::string& text) {
  std::vector<nlohmann::json> objects;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    objects.push_back(nlohmann::json::parse(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return objects;
}

}  // namespace stablelm
