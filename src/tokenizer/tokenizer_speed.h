// Benchmarks of a tokenizer: loading, encoding, decoding, batches on several threads.
//
// Single-threaded work is timed in CPU time of the process, which other programs disturb less; multi-threaded work in
// wall-clock time. Every sample starts with an empty piece cache.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/repeated_timing.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// Texts that the benchmark encodes one after another.
struct TimedTexts {
  std::string name;
  std::vector<std::string> texts;
  bool hard = false;  // worst-case input: only encoding is timed
};

struct BatchSpeed {
  size_t threads = 1;
  Samples mb_per_s;
};
struct TextSpeed {
  uint64_t bytes = 0, tokens = 0;
  std::string sha256;            // of all ids, written as "1 2 3 \n" for each text
  Samples encode, with_offsets;  // MB/s; 1 MB = 10^6 bytes
  Samples decode;
  std::vector<BatchSpeed> batches;  // on 1, 2, 4, ... threads; empty for a single text
};

// Time of `load` in milliseconds.
Samples MeasureLoad(const std::function<void()>& load, uint64_t samples, const BeforeSample& before_sample);
// Batches use up to `threads` threads.
TextSpeed MeasureTexts(const Tokenizer& tokenizer, const TimedTexts& texts, size_t threads, uint64_t samples,
                       const BeforeSample& before_sample);

// A deterministic text: 1 MB of random tokens of the tokenizer. Low ids are more frequent, because frequent merges are
// learned first.
TimedTexts TextOfTokens(const Tokenizer& tokenizer);
// Worst-case texts: long runs of one letter, spaces, combining marks and similar, each at one size and at four times
// that size. MB/s stays the same if the work is near linear.
std::vector<TimedTexts> HardTexts();

}  // namespace stablelm
