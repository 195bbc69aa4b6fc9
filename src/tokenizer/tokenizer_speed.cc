#include "tokenizer/tokenizer_speed.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/stopwatch.h"
#include "base/thread_pool.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

constexpr size_t kMegabyte = 1000000;

double WallSeconds() { return SecondsBetween({}, Clock::now()); }

// Measures the seconds of each sample, after one warm-up.
class Timer {
 public:
  Timer(uint64_t samples, const BeforeSample& before_sample) : samples_(samples), before_sample_(before_sample) {}
  std::vector<double> Time(const std::function<void()>& work, double now()) const {
    std::vector<double> seconds;
    for (uint64_t sample = 0; sample <= samples_; ++sample) {
      before_sample_();
      const double start = now();
      work();
      if (sample > 0) seconds.push_back(std::max(now() - start, 1e-9));  // the clock may not have advanced
    }
    return seconds;
  }

 private:
  uint64_t samples_;
  const BeforeSample& before_sample_;
};

Samples Rate(std::vector<double> seconds, size_t bytes) {
  for (double& s : seconds) s = static_cast<double>(bytes) / s / 1e6;
  return Summarize(std::move(seconds));
}

TimedTexts Repeated(const std::string& name, std::string_view unit, size_t times, size_t scale) {
  std::string text;
  text.reserve(unit.size() * times * scale);
  for (size_t i = 0; i < times * scale; ++i) text += unit;
  return {
      .name = name + (scale > 1 ? ", times " + std::to_string(scale) : ""), .texts = {std::move(text)}, .hard = true};
}

}  // namespace

Samples MeasureLoad(const std::function<void()>& load, uint64_t samples, const BeforeSample& before_sample) {
  std::vector<double> times = Timer(samples, before_sample).Time(load, ProcessorSeconds);
  for (double& t : times) t *= 1e3;
  return Summarize(std::move(times));
}

TextSpeed MeasureTexts(const Tokenizer& tokenizer, const TimedTexts& texts, size_t threads, uint64_t samples,
                       const BeforeSample& before_sample) {
  const Timer timer(samples, before_sample);
  TextSpeed speed;
  for (const std::string& text : texts.texts) speed.bytes += text.size();
  std::vector<std::vector<int32_t>> ids(texts.texts.size());
  const auto encode = [&] {
    Encoder encoder(tokenizer);
    for (size_t i = 0; i < texts.texts.size(); ++i) {
      ids[i].clear();
      encoder.Encode(texts.texts[i], {}, ids[i]);
    }
  };
  speed.encode = Rate(timer.Time(encode, ProcessorSeconds), speed.bytes);
  std::string list;
  for (const std::vector<int32_t>& one : ids) {
    speed.tokens += one.size();
    for (const int32_t id : one) list.append(std::to_string(id)).push_back(' ');
    list.push_back('\n');
  }
  speed.sha256 = Sha256Hex(list);
  if (texts.hard) return speed;

  const auto encode_with_offsets = [&] {
    Encoder encoder(tokenizer);
    for (const std::string& text : texts.texts) {
      Encoding out;
      encoder.EncodeWithOffsets(text, {}, out);
    }
  };
  speed.with_offsets = Rate(timer.Time(encode_with_offsets, ProcessorSeconds), speed.bytes);
  size_t decoded = 0;
  const auto decode = [&] {
    decoded = 0;
    for (const std::vector<int32_t>& one : ids) decoded += tokenizer.Decode(one).size();
  };
  const std::vector<double> decoding = timer.Time(decode, ProcessorSeconds);
  speed.decode = Rate(decoding, decoded);
  if (texts.texts.size() == 1) return speed;  // nothing to parallelize
  const std::vector<std::string_view> views(texts.texts.begin(), texts.texts.end());
  for (size_t n = 1; n <= threads; n *= 2) {
    ThreadPool pool(n);
    const auto batch = [&] { tokenizer.EncodeBatch(views, {}, pool); };
    speed.batches.push_back({.threads = n, .mb_per_s = Rate(timer.Time(batch, WallSeconds), speed.bytes)});
  }
  return speed;
}

TimedTexts TextOfTokens(const Tokenizer& tokenizer) {
  const Philox random(1);
  const double size = tokenizer.size();
  std::string bytes;
  for (uint64_t i = 0; bytes.size() < kMegabyte && i < 2 * kMegabyte; ++i) {
    // Sample the token's rank by Zipf's law: its logarithm is uniform.
    const auto id = static_cast<int32_t>(std::pow(size, random.Uniform(0, i))) - 1;
    if (!tokenizer.IsSpecial(id)) bytes += tokenizer.TokenBytes(id);
  }
  return {.name = "text of its own tokens", .texts = {utf8::ReplaceInvalid(bytes)}};
}

std::vector<TimedTexts> HardTexts() {
  std::vector<TimedTexts> all;
  for (const size_t scale : {size_t{1}, size_t{4}}) {
    all.push_back(Repeated("1 MB of one letter", "a", kMegabyte, scale));
    all.push_back(Repeated("1 MB of spaces", " ", kMegabyte, scale));
    all.push_back(Repeated("1 MB of \"a \"", "a ", kMegabyte / 2, scale));
    all.push_back(Repeated("1 MB of newlines", "\n", kMegabyte, scale));
    all.push_back(Repeated("10,000 combining marks", "\xCC\x81\xCC\xA3", 5000, scale));
  }
  return all;
}

}  // namespace stablelm
