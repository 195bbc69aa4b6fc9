// Checkpoints of `finetune` and runs that go on from them: the same bits as a run that was never stopped, and clear
// errors for what cannot go on.
#include <sys/file.h>
#include <unistd.h>

#include <csignal>

#include "cli/commands/finetune_testing.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class FineTuneResumeTest : public FineTuneTest {
 protected:
  void Copy(const std::string& run, const std::string& to) {
    fs::remove_all(Path(to));
    fs::copy(Path(run), Path(to), fs::copy_options::recursive);
  }
};

// From every kept checkpoint, in every form of the state on disk.
TEST_F(FineTuneResumeTest, GoesOnWithTheSameBits) {
  ASSERT_EQ(Run({"-o", Path("base"), "--set", "steps=2", "--set", "save_dtype=bf16"}).exit_code, 0);
  const std::vector<std::vector<std::string>> forms = {
      {"save_dtype=fp32", "schedule.warmup=3"},
      {"save_dtype=fp16", "precision=bf16", "micro_batches=2"},
      {"save_dtype=fp16", "precision=fp16", "recompute=layer"},
      {"save_dtype=fp16", "from=" + Path("base/checkpoints/step-2"), "trained=[\"*.layers.0.*\"]"},
  };
  for (const std::vector<std::string>& form : forms) {
    SCOPED_TRACE(form[0] + " " + form[1]);
    std::vector<std::string> arguments = {"-o", Path("whole"), "--json"};
    for (const char* set : {"steps=12", "checkpoint_every=3", "keep_last=2", "keep_every=6"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    for (const std::string& set : form) arguments.insert(arguments.end(), {"--set", set});
    const std::string want = HashOf(Run(arguments));
    ASSERT_EQ(want.size(), 64u);
    EXPECT_THAT(NamesIn("whole/checkpoints"), ElementsAre("step-12", "step-6", "step-9"));
    const auto log = LogOf("whole");
    ASSERT_EQ(StepsIn("whole"), 12u);
    for (const char* from : {"step-9", "step-6"}) {
      Copy("whole", "part");
      std::ofstream(Path("part/log.jsonl"), std::ios::app) << "{\"event\":\"step\",\"st";  // cut off by a crash
      EXPECT_EQ(HashOf(Resume(std::string("part/checkpoints/") + from, {"--json", "--threads", "1"})), want);
      EXPECT_EQ(LogOf("part"), log);
    }
    // The last one, when those after it are gone; recompute and intervals may change.
    Copy("whole", "part");
    for (const char* gone : {"step-12", "step-9"}) fs::remove_all(Path("part/checkpoints") + "/" + gone);
    fs::create_directory(Path("part/checkpoints/step-9.stablelm.tmp.abcdef"));  // of a killed process
    EXPECT_EQ(HashOf(Resume("part", {"--json", "--set", "checkpoint_every=5", "--set", "recompute=mlp"})), want);
    EXPECT_EQ(LogOf("part"), log);
    EXPECT_THAT(NamesIn("part/checkpoints"), ElementsAre("step-10", "step-12", "step-6"));
    EXPECT_THAT(BytesOf(Path("part/recipe.yaml")), HasSubstr("checkpoint_every: 5"));
    // Nothing is left to do: the same answer.
    EXPECT_EQ(HashOf(Resume("part", {"--json"})), want);
    fs::remove_all(Path("whole"));
  }
}

TEST_F(FineTuneResumeTest, ACheckpointIsAModelAndHoldsNoPathOrTime) {
  ASSERT_EQ(Run({"-o", Path("one"), "--set", "steps=2"}).exit_code, 0);
  fs::create_directory(Path("elsewhere"));
  for (const char* name : {"data", "run.yaml", "shape.json"}) {
    fs::copy(Path(name), Path("elsewhere/") + name, fs::copy_options::recursive);
  }
  ASSERT_EQ(RunProgramBinary(
                {"finetune", Path("elsewhere/run.yaml"), "-o", Path("two"), "--set", "steps=2", "--threads", "1"})
                .exit_code,
            0);
  const std::vector<std::string> names = NamesIn("one/checkpoints/step-2");
  EXPECT_THAT(names, testing::IsSupersetOf({"SHA256SUMS", "config.json", "model.safetensors", "optimizer.safetensors",
                                            "state.json", "stablelm_chat.json", "tokenizer.json"}));
  for (const std::string& name : names) {
    EXPECT_EQ(BytesOf(Path("one/checkpoints/step-2/" + name)), BytesOf(Path("two/checkpoints/step-2/" + name))) << name;
  }
  EXPECT_EQ(RunProgramBinary({"inspect", Path("one/checkpoints/step-2")}).exit_code, 0);
  const nlohmann::json sessions = nlohmann::json::parse(BytesOf(Path("one/run.json"))).at("sessions");
  EXPECT_EQ(sessions.at(0).at("result"), "finished");
  EXPECT_EQ(sessions.at(0).at("to_step"), 2);
}

TEST_F(FineTuneResumeTest, ARunThatIsThereIsNotReplaced) {
  ASSERT_EQ(Run({"-o", Path("run"), "--set", "steps=2"}).exit_code, 0);
  EXPECT_THAT(Run({"-o", Path("run")}), Fails(1, Path("run"), {"stablelm finetune --resume " + Path("run")}));
  EXPECT_THAT(Resume("run", {"-o", Path("other")}), Fails(2, "--resume", {"--out"}));
  EXPECT_THAT(Resume("none"), Fails(1, Path("none"), {"finetune RECIPE -o RUN"}));
  EXPECT_THAT(Resume("data"), Fails(1, Path("data"), {"no recipe.yaml"}));
  EXPECT_THAT(Resume("run/checkpoints/step-1"), Fails(1, Path("run/checkpoints/step-1"), {"step-2"}));
  const int fd = open(Path("run").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  EXPECT_THAT(Resume("run"), Fails(1, Path("run"), {"another process"}));
  EXPECT_THAT(Run({"-o", Path("run")}), Fails(1, Path("run"), {"another process"}));
  close(fd);
}

TEST_F(FineTuneResumeTest, OtherSettingsAndDataAreRefusedByName) {
  ASSERT_EQ(Run({"-o", Path("run"), "--set", "steps=3"}).exit_code, 0);
  EXPECT_THAT(Resume("run").err, HasSubstr("the run has made 3 steps already; --set steps=6 trains for longer"));
  EXPECT_THAT(
      Resume("run", {"--set", "optimizer.rate=2e-2", "--set", "rows=2", "--set", "steps=6"}),
      Fails(1, Path("run"), {"`optimizer.rate`, `rows`", "optimizer.rate: 0.02, rows: 2", "optimizer.rate: 0.01"}));
  Write("chats.jsonl", R"({"prompt": "a", "response": "b"})"
                       "\n");
  Prepare("others", {});
  EXPECT_THAT(Resume("run", {"--set", "data=" + Path("others"), "--set", "steps=6"}),
              Fails(1, Path("others"), {"not the data", "hash "}));
  EXPECT_EQ(StepsIn("run"), 3u);
  // The same data in another place, and more steps.
  fs::rename(Path("data"), Path("moved"));
  EXPECT_THAT(Resume("run", {"--set", "steps=6"}), Fails(1, Path("data/manifest.json")));
  EXPECT_EQ(Resume("run", {"--set", "data=" + Path("moved"), "--set", "steps=6"}).exit_code, 0);
  EXPECT_EQ(StepsIn("run"), 6u);
}

TEST_F(FineTuneResumeTest, DamagedFilesAreNamed) {
  ASSERT_EQ(Run({"-o", Path("run"), "--set", "steps=6", "--set", "checkpoint_every=3"}).exit_code, 0);
  const auto damage = [&](const std::string& file, size_t at) {
    std::string bytes = BytesOf(file);
    bytes[bytes.size() - at] = static_cast<char>(bytes[bytes.size() - at] ^ 1);
    std::ofstream(file, std::ios::binary) << bytes;
  };
  for (const char* name : {"optimizer.safetensors", "model.safetensors", "state.json", "config.json"}) {
    Copy("run", "copy");
    damage(Path(std::string("copy/checkpoints/step-6/") + name), 7);
    const std::string before = Path("copy/checkpoints/step-3");
    EXPECT_THAT(Resume("copy", {"--set", "steps=9"}),
                Fails(1, Path(std::string("copy/checkpoints/step-6/") + name), {"SHA-256", "--resume " + before}));
    fs::remove(Path(std::string("copy/checkpoints/step-6/") + name));
    EXPECT_THAT(Resume("copy", {"--set", "steps=9"}),
                Fails(1, Path(std::string("copy/checkpoints/step-6/") + name), {"missing", "--resume " + before}));
  }
  // Not as far as the damaged one, which must not come after the new one then.
  EXPECT_THAT(Resume("copy/checkpoints/step-3", {"--set", "steps=4"}).err, HasSubstr(".aside: step-6"));
  EXPECT_EQ(Resume("copy", {"--set", "steps=9"}).exit_code, 0);
  EXPECT_EQ(StepsIn("copy"), 9u);
  Copy("run", "copy");
  fs::remove(Path("copy/checkpoints/step-6/SHA256SUMS"));
  EXPECT_THAT(Resume("copy", {"--set", "steps=9"}), Fails(1, Path("copy/checkpoints/step-6/SHA256SUMS"), {"step-3"}));
  Copy("run", "copy");
  std::string log = BytesOf(Path("copy/log.jsonl"));
  log[0] = 'x';
  Write("copy/log.jsonl", log);
  EXPECT_THAT(Resume("copy", {"--set", "steps=9"}), Fails(1, Path("copy/log.jsonl") + ", line 1", {"move the file"}));
  // A shard of the data.
  damage(Path("data/train-00000.tokens"), 1);
  EXPECT_THAT(Run({"-o", Path("new")}), Fails(1, Path("data/train-00000.tokens"), {"SHA-256"}));
  EXPECT_FALSE(fs::exists(Path("new")));
  fs::remove(Path("data/train-00000.tokens"));
  EXPECT_THAT(Run({"-o", Path("new")}), Fails(1, Path("data/train-00000.tokens"), {"cannot open"}));
}

TEST_F(FineTuneResumeTest, AnInterruptedRunGoesOn) {
  const std::vector<std::string> sets = {"--set", "steps=100", "--set", "checkpoint_every=40"};
  std::vector<std::string> arguments = {"-o", Path("whole"), "--json"};
  arguments.insert(arguments.end(), sets.begin(), sets.end());
  const std::string want = HashOf(Run(arguments));
  ProgramInput input;
  bool sent = false;
  input.while_running = [&](pid_t program) {
    if (!sent && BytesOf(Path("part/log.jsonl")).find("\"event\":\"step\"") != std::string::npos)
      sent = kill(program, SIGINT) == 0;
  };
  arguments[1] = Path("part");
  const ProgramResult stopped = Run(arguments, input);
  ASSERT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("stablelm finetune --resume " + Path("part")));
  EXPECT_EQ(HashOf(Resume("part", {"--json"})), want);
  EXPECT_EQ(LogOf("part"), LogOf("whole"));
  const nlohmann::json sessions = nlohmann::json::parse(BytesOf(Path("part/run.json"))).at("sessions");
  ASSERT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions.at(0).at("result"), "stopped");
  EXPECT_EQ(sessions.at(0).at("to_step"), sessions.at(1).at("from_step"));
}

TEST_F(FineTuneResumeTest, AFullDiskLeavesTheLastCheckpoint) {
  ASSERT_EQ(Run({"-o", Path("run"), "--set", "steps=3"}).exit_code, 0);
  const auto limited = [&](const std::string& limit, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"-c", "ulimit -f " + limit + "; exec \"$0\" \"$@\"", kProgram});
    return RunProgramBinary(arguments, {.program = "/bin/sh"});
  };
  const ProgramResult full =
      limited("64", {"finetune", "--resume", Path("run"), "--set", "steps=9", "--set", "checkpoint_every=4"});
  EXPECT_THAT(full, Fails(1, Path("run/checkpoints/step-4/"),
                          {"ulimit -f", "stablelm finetune --resume " + Path("run"), "after step 3"}));
  EXPECT_THAT(NamesIn("run/checkpoints"), ElementsAre("step-3"));
  EXPECT_EQ(Resume("run").exit_code, 0);
  EXPECT_EQ(StepsIn("run"), 9u);
}

TEST_F(FineTuneResumeTest, AnotherMachineClassIsSaid) {
  ASSERT_EQ(Run({"-o", Path("run"), "--set", "steps=2"}).exit_code, 0);
  std::string run = BytesOf(Path("run/run.json"));
  const size_t at = run.find("\"simd\": \"") + 9;
  run.replace(at, run.find('"', at) - at, "other");
  Write("run/run.json", run);
  const ProgramResult result = Resume("run", {"--set", "steps=4"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("the run used other instructions until now"));
}

}  // namespace
}  // namespace stablelm
