// Runs that are killed: what they leave, and that --resume gives the bytes of a run that was not.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <random>

#include "dataset/pass_log.h"
#include "error_info.h"
#include "prepare_testing.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ResumeTest : public PrepareTest {
 protected:
  // Several sources, files and formats; a file that is forgotten, duplicates, prefixes, a limit.
  PrepareSetup Sources(size_t rows) {
    Write("a.jsonl", Chats(rows) + "{broken\n" + Chats(rows / 2, rows / 2));
    std::string array = "[", table = "question,answer\n", turns;
    for (size_t i = 0; i < rows; ++i) {
      array +=
          (i == 0 ? "" : ",") + (R"({"prompt": "How much is )" + std::to_string(i * i) + R"(?", "response": "much"})");
      table += "q" + std::to_string(i) + ",a\n";
      turns += R"({"chosen": "\n\nHuman: x)" + std::to_string(i / 2) + R"(\n\nAssistant: y)" +
               (i % 2 == 0 ? "" : R"(\n\nHuman: z\n\nAssistant: w)") + "\"}\n";
    }
    Write("b1.json", array + "]");
    Write("b2.json", array);  // cut off
    Write("b3.json", "[" + array.substr(array.size() / 2).substr(array.substr(array.size() / 2).find('{')) + "]");
    Write("c.csv", table);
    Write("d.jsonl", turns);
    PrepareSetup setup = Recipe(
        "sources:\n  - {path: a.jsonl, clean: {near_duplicates: true}}\n"
        "  - {name: b, path: [b1.json, b2.json, b3.json], kind: prompt-response, weight: 1.5}\n"
        "  - {path: c.csv, limit: " +
        std::to_string(rows / 2) +
        "}\n"
        "  - {path: d.jsonl, kind: hh, loss: assistant}\n"
        "validation: 0.1\nskip_bad_files: true\n");
    setup.log.block_bytes = 3000;
    setup.threads = 2;
    return setup;
  }
  std::filesystem::path Log() const { return PassLog::PathOf(Out()); }

  // Starts the run in a process that is killed when ready() says so. False: it ended before.
  template <typename Ready>
  bool Kill(const PrepareSetup& setup, const Ready& ready) {
    const pid_t run = fork();
    if (run == 0) {
      try {
        PrepareData(setup, Out());
      } catch (const Error&) {
        _exit(2);
      }
      _exit(0);
    }
    int status = 0;
    while (!ready()) {
      if (waitpid(run, &status, WNOHANG) == run) {
        EXPECT_EQ(WEXITSTATUS(status), 0);
        return false;
      }
      usleep(100);
    }
    kill(run, SIGKILL);
    waitpid(run, &status, 0);
    return WIFSIGNALED(status);
  }
  // Tries again where the run ended before it was seen: on a busy machine.
  bool KillAtSize(const PrepareSetup& setup, uint64_t bytes) {
    for (int tries = 0; tries < 50; ++tries) {
      const bool killed = Kill(setup, [&] {
        std::error_code none;
        const uint64_t size = std::filesystem::file_size(Log(), none);
        return !none && size >= bytes;
      });
      if (killed && !std::filesystem::exists(Out())) return true;
      std::filesystem::remove_all(Out());
      std::filesystem::remove(Log());
    }
    return false;
  }
  // The names of what lies beside OUT and is no input.
  std::set<std::string> Left() const {
    std::set<std::string> names = FileNames();
    for (const char* input : {"a.jsonl", "b1.json", "b2.json", "b3.json", "c.csv", "d.jsonl", "recipe.yaml", "want"}) {
      names.erase(input);
    }
    return names;
  }
};

TEST_F(ResumeTest, AKilledRunIsContinued) {
  PrepareSetup setup = Sources(4000);
  PrepareData(setup, Out("want"));
  ASSERT_TRUE(KillAtSize(setup, 200'000));
  EXPECT_FALSE(std::filesystem::exists(Out()));
  const ErrorInfo info = InfoOf([&] { PrepareData(setup, Out()); });
  EXPECT_EQ(info.where, Out().string());
  EXPECT_EQ(info.found, Log().string());
  EXPECT_THAT(info.hint, HasSubstr("--resume"));
  setup.log.resume = true;
  const PreparedData data = PrepareData(setup, Out());
  EXPECT_GT(data.resumed_rows, 100U);
  EXPECT_EQ(BytesOf(Out()), BytesOf(Out("want")));
  EXPECT_THAT(Left(), ElementsAre("out"));
  EXPECT_TRUE(PrepareData(setup, Out()).unchanged);
}

TEST_F(ResumeTest, AtRandomMomentsAndMoreThanOnce) {
  PrepareSetup setup = Sources(600);
  const auto start = std::chrono::steady_clock::now();
  PrepareData(setup, Out("want"));
  const double whole_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto want = BytesOf(Out("want"));
  setup.log.resume = true;
  const char* const given = std::getenv("STABLELM_TEST_SEED");
  const unsigned seed = given ? static_cast<unsigned>(std::atoi(given)) : std::random_device()();
  std::mt19937 random(seed);
  const int rounds = std::getenv("STABLELM_TEST_ROUNDS") ? std::atoi(std::getenv("STABLELM_TEST_ROUNDS")) : 6;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE("STABLELM_TEST_SEED=" + std::to_string(seed) + ", round " + std::to_string(round));
    for (int times = static_cast<int>(random() % 3) + 1; times > 0; --times) {
      const double moment_s = whole_s * std::uniform_real_distribution<double>(0, 1.1)(random);
      const auto begin = std::chrono::steady_clock::now();
      Kill(setup,
           [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() > moment_s; });
      setup.threads = random() % 3 + 1;
    }
    PrepareData(setup, Out());
    ASSERT_EQ(BytesOf(Out()), want);
    ASSERT_THAT(Left(), ElementsAre("out"));
    std::filesystem::remove_all(Out());
  }
}

// As after a power failure: the end of the file is missing, or not what was written.
TEST_F(ResumeTest, WhatIsCutOffOrChangedIsPreparedAgain) {
  PrepareSetup setup = Sources(600);
  PrepareData(setup, Out("want"));
  const auto want = BytesOf(Out("want"));
  ASSERT_TRUE(KillAtSize(setup, 50'000));
  std::ifstream in(Log(), std::ios::binary);
  const std::string log((std::istreambuf_iterator<char>(in)), {});
  setup.log.resume = true;
  std::mt19937 random(5);
  uint64_t most = 0;
  for (int round = 0; round < 12; ++round) {
    std::string damaged = log;
    const size_t at = round == 0 ? log.size() : round == 1 ? 10 : 24 + random() % (log.size() - 24);
    if (round % 2 == 0) {
      damaged.resize(at);
    } else if (round == 1) {
      damaged.resize(at);  // of the header
    } else {
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    }
    std::ofstream(Log(), std::ios::binary) << damaged;
    const PreparedData data = PrepareData(setup, Out());
    if (round == 0) most = data.resumed_rows;
    EXPECT_LE(data.resumed_rows, most);
    ASSERT_EQ(BytesOf(Out()), want) << round;
    std::filesystem::remove_all(Out());
  }
  EXPECT_GT(most, 50U);
}

TEST_F(ResumeTest, OtherSettingsFilesAndRunsAreRefused) {
  PrepareSetup setup = Sources(2000);
  ASSERT_TRUE(KillAtSize(setup, 100'000));
  setup.log.resume = true;
  PrepareSetup other = setup;
  other.recipe_yaml += "# other";
  for (const bool resume : {false, true}) {
    other.log.resume = resume;
    const ErrorInfo info = InfoOf([&] { PrepareData(other, Out()); });
    EXPECT_EQ(info.found, Log().string());
    EXPECT_THAT(info.what, HasSubstr("other settings"));
  }
  const int fd = open(Log().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
  EXPECT_THAT(InfoOf([&] { PrepareData(setup, Out()); }).what, HasSubstr("another run"));
  close(fd);
  // The same size and time, but other bytes.
  const auto time = std::filesystem::last_write_time(folder_.path() / "a.jsonl");
  std::fstream file(folder_.path() / "a.jsonl", std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(Chats(1).find("question")));
  file << "Q";
  file.close();
  std::filesystem::last_write_time(folder_.path() / "a.jsonl", time);
  const ErrorInfo info = InfoOf([&] { PrepareData(setup, Out()); });
  EXPECT_EQ(info.where, Log().string());
  EXPECT_THAT(info.what, HasSubstr("changed"));
}

TEST_F(ResumeTest, AFailedOrShortRunLeavesNothing) {
  PrepareSetup setup = Sources(2000);
  setup.recipe.end = EndRule::kNone;  // an audit stops it
  EXPECT_EQ(InfoOf([&] { PrepareData(setup, Out()); }).where, "audit");
  EXPECT_THAT(Left(), testing::IsEmpty());
  setup.recipe.end = EndRule::kEndOfText;
  setup.dry_run = true;
  PrepareData(setup, Out());
  EXPECT_THAT(Left(), testing::IsEmpty());
  setup.dry_run = false;
  setup.log = {};  // nothing is written before some seconds or megabytes
  std::atomic<bool> begun = false;
  Kill(setup, [&] {
    for (const std::string& name : Left()) begun = begun || name.starts_with("out.stablelm.tmp.");
    return begun.load();
  });
  EXPECT_FALSE(std::filesystem::exists(Log()));
  EXPECT_FALSE(PrepareData(setup, Out()).unchanged);
  EXPECT_THAT(Left(), ElementsAre("out"));
}

}  // namespace
}  // namespace stablelm
