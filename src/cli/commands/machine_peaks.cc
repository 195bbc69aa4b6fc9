#include "cli/commands/machine_peaks.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/strict_json.h"
#include "base/system.h"
#include "cli/app/options.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

constexpr uint64_t kMemoryBytes = uint64_t{1} << 29;

double NumberOf(const nlohmann::json& json, const char* key, const std::string& file) {
  if (json.is_object() && json.contains(key) && json[key].is_number()) return json[key].get<double>();
  throw Error({.where = file,
               .what = "not a file of the machine's peaks",
               .found = std::string("no number ") + Quoted(key),
               .expected = "a file that bench model --machine FILE has written",
               .hint = "name another file"});
}

}  // namespace

MachinePeaks MeasurePeaks(ThreadPool& pool, const ProbeOptions& options) {
  const MemorySpeed memory = MeasureMemory(pool, kMemoryBytes, options);
  const ComputeSpeed compute = MeasureComputeInUse(pool, options);
  return {.memory_gb_per_s = memory.ways[memory.best].gb_per_s.median,
          .fp32_gflops = compute.fp32_gflops.median,
          .bf16_gflops = compute.bf16_gflops.median,
          .int8_gops = compute.int8_gops.median};
}

std::string PeaksText(const MachinePeaks& peaks) {
  return "memory " + Rounded(peaks.memory_gb_per_s, 1) + " GB/s, fp32 " + Rounded(peaks.fp32_gflops, 0) + " Gflop/s, " +
         (peaks.bf16_gflops > 0 ? "bf16 " + Rounded(peaks.bf16_gflops, 0) + " Gflop/s, " : "") + "int8 " +
         Rounded(peaks.int8_gops, 0) + " Gop/s; ";
}

std::optional<MachinePeaks> ReadPeaks(const std::string& file, uint64_t threads, Output& out) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    const std::filesystem::path folder = std::filesystem::path(file).parent_path();
    if (!folder.empty() && !std::filesystem::is_directory(folder, error)) {
      throw Error({.where = file, .what = "no such folder", .found = Quoted(folder.string()), .hint = "make it first"});
    }
    return std::nullopt;
  }
  if (std::filesystem::is_directory(file, error)) {
    throw Error({.where = file, .what = "this is a folder", .expected = "a file", .hint = "name a file in it"});
  }
  const nlohmann::json json = ParseStrictJson(ReadFileOrPipe(file), file);
  const MachinePeaks peaks = {.memory_gb_per_s = NumberOf(json, "memory_gb_per_s", file),
                              .fp32_gflops = NumberOf(json, "fp32_gflops", file),
                              .bf16_gflops = NumberOf(json, "bf16_gflops", file),
                              .int8_gops = NumberOf(json, "int8_gops", file)};
  const auto is = [&](const char* key, const std::string& value) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() && found->get_ref<const std::string&>() == value;
  };
  if (is("cpu", CpuModelName()) && is("simd", SimdTargetInUse()) &&
      NumberOf(json, "threads", file) == static_cast<double>(threads)) {
    return peaks;
  }
  out.Note(file + " is of another machine or number of threads: measuring again");
  return std::nullopt;
}

void WritePeaks(const std::string& file, const MachinePeaks& peaks, uint64_t threads) {
  const JsonValue json = {{"cpu", CpuModelName()},
                          {"simd", SimdTargetInUse()},
                          {"threads", threads},
                          {"memory_gb_per_s", peaks.memory_gb_per_s},
                          {"fp32_gflops", peaks.fp32_gflops},
                          {"bf16_gflops", peaks.bf16_gflops},
                          {"int8_gops", peaks.int8_gops}};
  WriteTextFileAtomically(file, json.Dump() + "\n");
}

}  // namespace stablelm
