// The folder of a run: who holds it, what of the log is kept, which checkpoints stay.
#include "train/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/mapped_file.h"
#include "error_info.h"
#include "temp_folder.h"
#include "train/run_sessions.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class RunFolderTest : public testing::Test {
 protected:
  RunFolder Make() { return RunFolder::Create(run_, "name: a\n", {{"event", "start"}, {"step", 0}}); }
  void Log(const std::string& text) { std::ofstream(run_ / "log.jsonl", std::ios::binary) << text; }
  std::string Cut(const RunFolder& folder, std::optional<int64_t> step) {
    folder.CutLog(step);
    return ReadTextFile(run_ / "log.jsonl", 1000);
  }
  const TempFolder temp_;
  const fs::path run_ = temp_.path() / "run";
};

TEST_F(RunFolderTest, IsMadeOnceAndHeldByOne) {
  {
    const RunFolder folder = Make();
    EXPECT_EQ(ReadTextFile(folder.recipe(), 100), "name: a\n");
    EXPECT_EQ(ReadTextFile(folder.log(), 100), "{\"event\":\"start\",\"step\":0}\n");
    EXPECT_THAT(InfoOf([&] { RunFolder::Open(run_); }).what, HasSubstr("another process"));
    EXPECT_THAT(InfoOf([&] { Make(); }).what, HasSubstr("another process"));
  }
  EXPECT_THAT(InfoOf([&] { Make(); }).hint, HasSubstr("--resume " + run_.string()));
  RunFolder::Open(run_);
  EXPECT_THAT(InfoOf([&] { RunFolder::Open(temp_.path() / "none"); }), Names((temp_.path() / "none").string()));
  EXPECT_EQ(RunFolder::Create(temp_.path() / "runs" / "run", "name: a\n", {{"event", "start"}, {"step", 0}}).path(),
            temp_.path() / "runs" / "run");  // the parent folder is made
  EXPECT_THAT(InfoOf([&] { RunFolder::Open(temp_.path()); }), Names(temp_.path().string(), "no recipe.yaml"));
}

TEST_F(RunFolderTest, CutsTheLogBehindAStep) {
  const RunFolder folder = Make();
  const std::string start = "{\"event\":\"start\",\"step\":0}\n", zero = "{\"event\":\"validation\",\"step\":0}\n",
                    one = "{\"step\":1}\n", two = "{\"step\":2}\n", more = "{\"event\":\"guard\",\"step\":2}\n";
  const std::string all = start + zero + one + two + more;
  const auto cut = [&](const std::string& text, std::optional<int64_t> step) {
    Log(text);
    return Cut(folder, step);
  };
  EXPECT_EQ(cut(all, 2), all);
  EXPECT_EQ(cut(all, 5), all);
  EXPECT_EQ(cut(all + "{\"step\":3}\n", 2), all);
  EXPECT_EQ(cut(all, 1), start + zero + one);
  EXPECT_EQ(cut(all, {}), start);
  EXPECT_EQ(cut(start, {}), start);
  EXPECT_EQ(cut(all + "{\"st", 2), all);                   // half a line
  EXPECT_EQ(cut(all + "{\"step\":3", 9), all);             // a whole object without its end
  EXPECT_EQ(cut(all + std::string("\0\0\n", 3), 9), all);  // the last line, after a power failure
  EXPECT_EQ(cut("", 3), "");
  Log(start + "garbage\n" + two);
  EXPECT_THAT(InfoOf([&] { folder.CutLog(2); }), Names((run_ / "log.jsonl").string() + ", line 2", "\"garbage\""));
  fs::remove(run_ / "log.jsonl");
  folder.CutLog(3);
}

TEST_F(RunFolderTest, KeepsTheLastTheBestAndEveryNth) {
  const RunFolder folder = Make();
  for (const int step : {10, 20, 30, 40, 50, 60}) {
    fs::create_directories(folder.Checkpoint(step));
    std::ofstream(folder.Checkpoint(step) / "config.json") << "{}";
  }
  fs::create_directories(folder.checkpoints() / "step-x");
  fs::create_directories(folder.checkpoints() / "step-60.stablelm.tmp.abcdef");
  EXPECT_THAT(folder.Steps(), ElementsAre(10, 20, 30, 40, 50, 60));
  folder.SetBest(20);
  EXPECT_TRUE(fs::exists(run_ / "best" / "config.json"));
  folder.SetBest(10);
  EXPECT_TRUE(fs::equivalent(run_ / "best", folder.Checkpoint(10)));
  folder.Prune(2, 30, 10);
  EXPECT_THAT(folder.Steps(), ElementsAre(10, 30, 50, 60));
  EXPECT_THAT(folder.SetAsideAfter(50), ElementsAre(60));
  EXPECT_TRUE(fs::exists(run_ / "best"));
  fs::create_directories(folder.Checkpoint(60));
  folder.SetBest({});
  EXPECT_FALSE(fs::exists(fs::symlink_status(run_ / "best")));
  folder.Prune(0, 0, {});  // never the only one
  EXPECT_THAT(folder.Steps(), ElementsAre(60));
}

TEST_F(RunFolderTest, GoingBackSetsAsideWhatCameLater) {
  const RunFolder folder = Make();
  for (const int step : {10, 20, 30}) fs::create_directories(folder.Checkpoint(step));
  folder.SetBest(30);
  fs::create_directories(folder.checkpoints() / "step-30.aside");
  EXPECT_THAT(folder.SetAsideAfter(10), ElementsAre(20, 30));
  EXPECT_THAT(folder.Steps(), ElementsAre(10));
  EXPECT_TRUE(fs::exists(folder.checkpoints() / "step-20.aside"));
  EXPECT_TRUE(fs::exists(folder.checkpoints() / "step-30.aside-2"));
  EXPECT_THAT(folder.SetAsideAfter(10), testing::IsEmpty());
  folder.SetBest(30);
  EXPECT_FALSE(fs::exists(fs::symlink_status(run_ / "best")));  // there is no such checkpoint
}

TEST_F(RunFolderTest, OpeningRemovesWhatAKilledProcessLeft) {
  {
    const RunFolder folder = Make();
    fs::create_directories(folder.checkpoints() / "step-60.stablelm.tmp.abcdef");
    std::ofstream(run_ / "run.json.stablelm.tmp.abcdef") << "{";
  }
  const RunFolder folder = RunFolder::Open(run_);
  EXPECT_TRUE(fs::is_empty(folder.checkpoints()));
  EXPECT_FALSE(fs::exists(run_ / "run.json.stablelm.tmp.abcdef"));
}

TEST_F(RunFolderTest, NamesOfCheckpoints) {
  EXPECT_EQ(StepOfCheckpoint("a/step-120"), 120);
  EXPECT_EQ(StepOfCheckpoint("a/step-7/"), 7);
  for (const char* other : {"step-", "step-1x", "step--1", "astep-1", "step-99999999999999999999", ""}) {
    EXPECT_FALSE(StepOfCheckpoint(other)) << other;
  }
}

TEST_F(RunFolderTest, SessionsAreAdded) {
  const RunFolder folder = Make();
  const RunSession now = {.program = "p", .simd = "avx2", .processor = "c", .threads = 2, .start = "t"};
  RunSessions first(run_, now, 0);
  EXPECT_EQ(first.last_simd(), "");
  first.End(10, "stopped", "abc");
  const RunSessions second(run_, now, 10);
  EXPECT_EQ(second.last_simd(), "avx2");
  const std::string text = ReadTextFile(run_ / "run.json", 10000);
  EXPECT_THAT(text, testing::AllOf(HasSubstr("\"to_step\": 10"), HasSubstr("\"from_step\": 10"), HasSubstr("\"abc\"")));
  std::ofstream(run_ / "run.json") << "{";
  EXPECT_EQ(RunSessions(run_, now, 10).last_simd(), "");
}

}  // namespace
}  // namespace stablelm
