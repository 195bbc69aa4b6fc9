// Times the tokenizer: loading, encoding, decoding, batches over threads, inputs that are hard for careless tokenizers.
//
//   tokenizer_bench TOKENIZER.json [TEXTS.json ...]
//
// TEXTS.json is an array of strings, encoded one after another on one thread. Every number is the median of several
// runs after one that is not counted; every run starts with an empty cache of pieces. One JSON object per line on
// stdout. bench/compare_tokenizer.py runs it beside huggingface/tokenizers.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/sha256.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {
namespace {

using nlohmann::ordered_json;
constexpr int kRuns = 9;

// Work of one thread is timed by the processor time of this process, which other programs disturb less; work of several
// threads by the clock on the wall.
enum class Clock { kProcessor, kWall };

double Now(Clock clock) {
  timespec t{};
  clock_gettime(clock == Clock::kWall ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double Seconds(Clock clock, const std::function<void()>& work) {
  const double start = Now(clock);
  work();
  return Now(clock) - start;
}

struct Times {
  double median = 0;
  double least = 0;
  double most = 0;
};

Times Measure(const std::function<void()>& work, int runs = kRuns, Clock clock = Clock::kProcessor) {
  work();
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) seconds.push_back(Seconds(clock, work));
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front(), seconds.back()};
}

void Print(ordered_json line, const Times& times, size_t bytes) {
  const auto rate = [bytes](double seconds) { return static_cast<double>(bytes) / seconds / 1e6; };
  line["bytes"] = bytes;
  line["median_ms"] = times.median * 1e3;
  line["mb_per_s"] = rate(times.median);
  line["mb_per_s_range"] = {rate(times.most), rate(times.least)};
  std::cout << line.dump() << std::endl;
}

void Load(const std::string& path) {
  const Times times = Measure([&] { STABLELM_CHECK(Tokenizer::FromFile(path).size() > 0); });
  std::cout << ordered_json{{"what", "load"}, {"median_ms", times.median * 1e3}, {"least_ms", times.least * 1e3}}.dump()
            << std::endl;
}

void Texts(const Tokenizer& tokenizer, const std::string& path) {
  std::ifstream file(path);
  const std::vector<std::string> texts = nlohmann::json::parse(file).get<std::vector<std::string>>();
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  const std::string name = path.substr(path.find_last_of('/') + 1);

  std::vector<std::vector<int32_t>> ids(texts.size());
  const Times encode = Measure([&] {
    Encoder encoder(tokenizer);
    for (size_t i = 0; i < texts.size(); ++i) {
      ids[i].clear();
      encoder.Encode(texts[i], {}, ids[i]);
    }
  });
  std::string list;
  size_t tokens = 0;
  for (const auto& one : ids) {
    tokens += one.size();
    for (const int32_t id : one) list.append(std::to_string(id)).push_back(' ');
    list.push_back('\n');
  }
  Print({{"what", "encode"}, {"texts", name}, {"count", texts.size()}, {"tokens", tokens}, {"sha256", Sha256Hex(list)}},
        encode, bytes);

  const Times offsets = Measure([&] {
    Encoder encoder(tokenizer);
    for (const std::string& text : texts) {
      Encoding out;
      encoder.EncodeWithOffsets(text, {}, out);
    }
  });
  Print({{"what", "encode with offsets"}, {"texts", name}}, offsets, bytes);

  size_t decoded = 0;
  const Times decode = Measure([&] {
    decoded = 0;
    for (const auto& one : ids) decoded += tokenizer.Decode(one).size();
  });
  Print({{"what", "decode"}, {"texts", name}}, decode, decoded);

  // One text gives a batch nothing to spread.
  if (texts.size() == 1) return;
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  for (size_t threads = 1; threads <= PhysicalCores(); threads *= 2) {
    ThreadPool pool(threads);
    const Times batch = Measure([&] { tokenizer.EncodeBatch(views, {}, pool); }, kRuns, Clock::kWall);
    // Processor time of all threads: near that of one thread where the work spreads without loss.
    const Times processor = Measure([&] { tokenizer.EncodeBatch(views, {}, pool); });
    Print({{"what", "batch"}, {"texts", name}, {"threads", threads}, {"processor_ms", processor.median * 1e3}}, batch,
          bytes);
  }
}

// Each at a size and at four times the size: near-linear work takes near four times as long.
void Hard(const Tokenizer& tokenizer) {
  const auto repeat = [](std::string_view unit, size_t times) {
    std::string text;
    for (size_t i = 0; i < times; ++i) text += unit;
    return text;
  };
  const size_t mb = 1000000;
  for (const size_t scale : {size_t{1}, size_t{4}}) {
    const std::pair<const char*, std::string> inputs[] = {
        {"1 MB of one letter", repeat("a", mb * scale)},
        {"1 MB of spaces", repeat(" ", mb * scale)},
        {"1 MB of \"a \"", repeat("a ", mb / 2 * scale)},
        {"1 MB of newlines", repeat("\n", mb * scale)},
        {"10,000 combining marks", repeat("\xCC\x81\xCC\xA3", 5000 * scale)}};
    for (const auto& [name, text] : inputs) {
      const Times times = Measure([&, &one = text] { STABLELM_CHECK(!tokenizer.Encode(one).empty()); }, 3);
      Print({{"what", "hard"}, {"input", name}, {"scale", scale}}, times, text.size());
    }
  }
}

int Main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: tokenizer_bench TOKENIZER.json [TEXTS.json ...]\n");
    return 2;
  }
  try {
    std::cout << ordered_json{{"what", "machine"}, {"cpu", CpuModelName()}, {"cores", PhysicalCores()}}.dump()
              << std::endl;
    Load(argv[1]);
    const Tokenizer tokenizer = Tokenizer::FromFile(argv[1]);
    for (int i = 2; i < argc; ++i) Texts(tokenizer, argv[i]);
    Hard(tokenizer);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace stablelm

int main(int argc, char** argv) { return stablelm::Main(argc, argv); }
