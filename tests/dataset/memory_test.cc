// Memory of a preparation: 100 MB of text, keys and packs beyond a small budget, and one long row.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "base/random.h"
#include "base/system.h"
#include "prepare_testing.h"

namespace stablelm {
namespace {

class MemoryTest : public PrepareTest {
 protected:
  // The most anonymous memory during a preparation, beyond that before it.
  static uint64_t PeakOf(const PrepareSetup& setup, const std::filesystem::path& out) {
    const uint64_t before = ReadMemoryUse().anonymous;
    std::atomic<bool> done = false;
    uint64_t peak = 0;
    std::thread sampler([&] {
      while (!done) {
        peak = std::max(peak, ReadMemoryUse().anonymous);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    });
    PrepareData(setup, out);
    done = true;
    sampler.join();
    return peak > before ? peak - before : 0;
  }
  // Words that differ from row to row.
  static void AppendText(uint64_t row, size_t words, std::string& text) {
    static constexpr const char* kWords[] = {"the", "of",   "and", "water",  "in",     "house", "that", "question",
                                             "it",  "long", "was", "answer", "number", "on",    "day",  "because"};
    const Philox random(1);
    for (uint64_t i = 0; i < words; i += 4) {
      for (const uint32_t bits : random.Block(row, i)) (text += kWords[bits % 16]) += ' ';
    }
  }
};

TEST_F(MemoryTest, Of100MegabytesIsBelow60) {
  std::ofstream file(folder_.path() / "a.jsonl", std::ios::binary);
  uint64_t bytes = 0;
  for (uint64_t row = 0; bytes < 100'000'000; ++row) {
    std::string line = "{\"prompt\": \"" + std::to_string(row) + " ";
    AppendText(2 * row, 20, line);
    line += "\", \"response\": \"";
    AppendText(2 * row + 1, 60, line);
    line += "\"}\n";
    bytes += line.size();
    file << line;
  }
  file.close();
  PrepareSetup setup = Recipe("sources: [{path: a.jsonl, kind: prompt-response}]\n");
  setup.threads = 2;
  setup.memory_bytes = size_t{8} << 20;
  EXPECT_LT(PeakOf(setup, Out()), 60'000'000U);
}

TEST_F(MemoryTest, OfALongRowIsAFewTimesItsLength) {
  std::string text;
  while (text.size() < 20'000'000) AppendText(text.size(), 1000, text);
  std::ofstream(folder_.path() / "a.jsonl", std::ios::binary)
      << "{\"text\": \"" << text << "\"}\n{\"text\": \"" << text << "x\"}\n";
  PrepareSetup setup =
      Recipe("sources: [{path: a.jsonl, kind: text, clean: {near_duplicates: true}}]\nvalidation: 0\n");
  setup.threads = 2;
  setup.memory_bytes = size_t{8} << 20;
  // A row takes some 7 times its length where most of its copies live (bytes, tokens, hashes), and on a busy machine
  // both rows are at work at once.
  EXPECT_LT(PeakOf(setup, Out()), 16 * text.size());
}

}  // namespace
}  // namespace stablelm
