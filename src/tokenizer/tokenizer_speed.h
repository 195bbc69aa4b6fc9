// How fast a tokenizer is: loading, encoding, decoding, texts over threads.
//
// Work of one thread is timed by the processor time of the process, which other programs disturb less; that of several
// threads by the clock on the wall. Every sample starts with an empty cache of pieces.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/repeated_timing.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// Texts that are encoded one after another.
struct TimedTexts {
  std::string name;
  std::vector<std::string> texts;
  bool hard = false;  // made to be hard: encoding alone is timed
};

struct BatchSpeed {
  size_t threads = 1;
  Samples mb_per_s;
};
struct TextSpeed {
  uint64_t bytes = 0, tokens = 0;
  std::string sha256;            // of all ids, "1 2 3 \n" for each text
  Samples encode, with_offsets;  // MB/s; a MB has 10^6 bytes
  Samples decode;
  std::vector<BatchSpeed> batches;  // over 1, 2, 4, ... threads; none for a single text
};

// Milliseconds of `load`.
Samples MeasureLoad(const std::function<void()>& load, uint64_t samples, const BeforeSample& before_sample);
// Spread over up to `threads` threads.
TextSpeed MeasureTexts(const Tokenizer& tokenizer, const TimedTexts& texts, size_t threads, uint64_t samples,
                       const BeforeSample& before_sample);

// A megabyte of the tokenizer's own tokens, those with low ids more often, as merges are learned: always the same.
TimedTexts TextOfTokens(const Tokenizer& tokenizer);
// Long runs of one letter, of spaces, of combining marks and the like, each at a size and at four times that: work near
// linear keeps its MB/s.
std::vector<TimedTexts> HardTexts();

}  // namespace stablelm
