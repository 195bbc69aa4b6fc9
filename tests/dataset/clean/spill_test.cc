// Arrays beyond a budget of memory: the same values as in memory, temporary files that go away, errors that name them.
#include "dataset/clean/spill.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <vector>

#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

size_t FilesIn(const std::filesystem::path& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

struct Pair {
  uint64_t key = 0;
  uint64_t value = 0;
  auto operator<=>(const Pair&) const = default;
};

TEST(Spill, SortsTheSameInMemoryAndInFiles) {
  const TempFolder folder;
  std::vector<std::vector<Pair>> results;
  for (const size_t bytes : {size_t{1}, size_t{200'000}, size_t{64} << 20}) {
    SortedRecords<Pair> records({bytes, folder.path() / "keys"});
    for (uint64_t i = 0; i < 50'000; ++i) records.Add({i * 0x9E3779B97F4A7C15u >> 44, i});
    EXPECT_EQ(records.size(), 50'000u);
    EXPECT_EQ(FilesIn(folder.path()), bytes > 1'000'000 ? 0u : 1u);
    std::vector<Pair>& sorted = results.emplace_back();
    records.ForEach([&](const Pair& pair) { sorted.push_back(pair); });
    EXPECT_EQ(records.spilled_bytes(), bytes > 1'000'000 ? 0u : 800'000u);
  }
  EXPECT_EQ(FilesIn(folder.path()), 0u);
  EXPECT_TRUE(std::is_sorted(results[0].begin(), results[0].end()));
  EXPECT_EQ(results[0].size(), 50'000u);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Spill, SortsNothing) {
  SortedRecords<Pair> records({});
  records.ForEach([](const Pair&) { FAIL(); });
}

TEST(Spill, KeepsAVectorInOrder) {
  const TempFolder folder;
  std::vector<uint64_t> values(100'001);
  std::iota(values.begin(), values.end(), 7);
  for (const size_t bytes : {size_t{1}, size_t{300'000}, size_t{64} << 20}) {
    SpillVector<uint64_t> vector({bytes, folder.path() / "values"});
    for (size_t at = 0; at < values.size();) {
      const size_t count = std::min(values.size() - at, at % 13 + 1);
      vector.Append(std::span<const uint64_t>(values).subspan(at, count));
      at += count;
    }
    ASSERT_EQ(vector.size(), values.size());
    const std::span<const uint64_t> all = vector.Values();
    EXPECT_TRUE(std::equal(all.begin(), all.end(), values.begin(), values.end()));
    EXPECT_EQ(vector.spilled_bytes(), bytes > 1'000'000 ? 0 : values.size() * sizeof(uint64_t));
  }
  EXPECT_TRUE(SpillVector<uint64_t>({}).Values().empty());
  EXPECT_EQ(FilesIn(folder.path()), 0u);
}

TEST(Spill, HoldsNumbersThatBeginAsZero) {
  const TempFolder folder;
  for (const size_t bytes : {size_t{1}, size_t{1} << 20}) {
    ScratchNumbers numbers(10'000, {bytes, folder.path() / "numbers"});
    EXPECT_EQ(numbers.spilled_bytes(), bytes == 1 ? 40'000u : 0u);
    for (uint64_t i = 0; i < 10'000; ++i) ASSERT_EQ(numbers[i], 0u);
    numbers[9'999] = 3;
    EXPECT_EQ(numbers[9'999], 3u);
  }
  ScratchNumbers none(0, {});
  EXPECT_EQ(FilesIn(folder.path()), 0u);
}

TEST(Spill, NamesTheFileThatCannotBeWritten) {
  const TempFolder folder;
  const auto missing = folder.path() / "missing" / "keys";
  EXPECT_THAT(InfoOf([&] {
                SortedRecords<Pair> records({1, missing});
                for (uint64_t i = 0; i < 10'000; ++i) records.Add({i, i});
              }).where,
              testing::HasSubstr("missing"));
}

TEST(Spill, SaysThatTheDiskIsFull) {
  const TempFolder folder;
  struct Limit {  // files of at most 128 KiB, as a full disk
    rlimit old = {};
    Limit() {
      std::signal(SIGXFSZ, SIG_IGN);
      getrlimit(RLIMIT_FSIZE, &old);
      const rlimit small = {128 << 10, old.rlim_max};
      setrlimit(RLIMIT_FSIZE, &small);
    }
    Limit(const Limit&) = delete;
    Limit& operator=(const Limit&) = delete;
    ~Limit() {
      setrlimit(RLIMIT_FSIZE, &old);
      std::signal(SIGXFSZ, SIG_DFL);
    }
  };
  const auto write = [&] {
    const Limit limit;
    SortedRecords<Pair> records({1, folder.path() / "keys"});
    for (uint64_t i = 0; i < 50'000; ++i) records.Add({i, i});
  };
  const ErrorInfo info = InfoOf(write);
  EXPECT_THAT(info.where, testing::HasSubstr("keys.stablelm.tmp."));
  EXPECT_THAT(info.hint, testing::HasSubstr("ulimit"));
  const auto reserve = [&] {
    const Limit limit;
    const ScratchNumbers numbers(1'000'000, {1, folder.path() / "numbers"});
  };
  EXPECT_THAT(InfoOf(reserve).where, testing::HasSubstr("numbers.stablelm.tmp."));
  EXPECT_EQ(FilesIn(folder.path()), 0u);
}

}  // namespace
}  // namespace stablelm
