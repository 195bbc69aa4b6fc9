// Parquet through DuckDB's program: what it reads, and what becomes of damaged files and of a helper that fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "dataset/read/collect_rows.h"
#include "dataset/read/parquet_rows.h"
#include "error_info.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// Where scripts/setup --parquet puts it, else where a user has it; empty if there is none.
std::filesystem::path DuckDb() {
  const std::filesystem::path built = TestData("../../build/duckdb");
  try {
    return FindDuckDb(std::filesystem::exists(built) ? built : std::filesystem::path());
  } catch (const Error&) {
    return {};
  }
}

std::filesystem::path Fixture(const std::string& name) { return TestData("parquet/" + name); }
std::string BytesOfFile(const std::filesystem::path& path) { return ReadTextFile(path, 1 << 20); }

std::vector<nlohmann::json> Parsed(const std::vector<KeptRow>& rows) {
  std::vector<nlohmann::json> all;
  for (const KeptRow& row : rows) {
    EXPECT_EQ(row.problem, "");
    all.push_back(nlohmann::json::parse(row.json));
  }
  return all;
}
std::vector<nlohmann::json> Expected(const std::string& name) {
  return Parsed(CollectRows(*OpenRows(Fixture(name + ".jsonl"))));
}

class Parquet : public testing::Test {
 protected:
  void SetUp() override {
    if (duckdb_.empty()) GTEST_SKIP() << "the program duckdb is not installed (scripts/setup --parquet)";
  }
  std::vector<KeptRow> Read(const std::filesystem::path& path, const std::vector<std::string>& columns = {}) const {
    const auto choose = [&](const std::vector<std::string>&) { return columns; };
    return CollectRows(*OpenRows(path, {.columns = choose, .duckdb = duckdb_}));
  }
  const std::filesystem::path duckdb_ = DuckDb();
  RowFiles files_;
};

TEST_F(Parquet, GivesRowsInOrder) {
  for (const std::string codec : {"zstd", "snappy"}) {
    const std::unique_ptr<RowReader> reader =
        OpenRows(Fixture("conversations_" + codec + ".parquet"), {.duckdb = duckdb_});
    EXPECT_EQ(reader->format(), RowFormat::kParquet);
    EXPECT_THAT(reader->columns(), ElementsAre("id", "conversations", "note"));
    EXPECT_EQ(reader->consumed(), 0u);
    const std::vector<KeptRow> rows = CollectRows(*reader);
    EXPECT_EQ(Parsed(rows), Expected("conversations"));
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].index, i);
    EXPECT_EQ(reader->consumed(), BytesOfFile(Fixture("conversations_" + codec + ".parquet")).size());
  }
}

TEST_F(Parquet, ReadsOnlyTheColumnsThatAreWanted) {
  const std::vector<KeptRow> rows = Read(Fixture("conversations_zstd.parquet"), {"note", "id"});
  ASSERT_EQ(rows.size(), 25u);
  EXPECT_EQ(nlohmann::json::parse(rows[1].json), nlohmann::json::parse(R"({"id": "row 1", "note": ""})"));
}

TEST_F(Parquet, TakesAnyNameOfAColumn) {
  EXPECT_EQ(Parsed(Read(Fixture("names.parquet"))), Expected("names"));
  const nlohmann::json all = Expected("names").at(0);
  std::vector<std::string> names;
  for (const auto& [name, value] : all.items()) names.push_back(name);
  std::reverse(names.begin(), names.end());
  EXPECT_EQ(Parsed(Read(Fixture("names.parquet"), names)).at(0), all);
  EXPECT_EQ(Parsed(Read(Fixture("names.parquet"), {"*"})).at(0), (nlohmann::json{{"*", all["*"]}}));
}

TEST_F(Parquet, TakesAnyNameOfAFile) {
  for (const std::string name : {"it's", "say \"hi\"", "*", "[0]", "two\nlines", "-c", "a b", "\xF0\x9F\x98\x80"}) {
    const std::filesystem::path path = files_.Write(name + ".parquet", BytesOfFile(Fixture("values.parquet")));
    EXPECT_EQ(Read(path).size(), 3u) << name;
  }
}

TEST_F(Parquet, ValuesThatJsonLacksAreNull) { EXPECT_EQ(Parsed(Read(Fixture("values.parquet"))), Expected("values")); }

TEST_F(Parquet, MayHaveNoRows) { EXPECT_THAT(Read(Fixture("no_rows.parquet")), ElementsAre()); }

TEST_F(Parquet, DamageEndsTheFile) {
  const std::string whole = BytesOfFile(Fixture("conversations_zstd.parquet"));
  const auto failure = [&](const std::string& bytes) {
    const std::filesystem::path path = files_.Write("a.parquet", bytes);
    ErrorInfo info = InfoOf([&] { Read(path); });
    EXPECT_EQ(info.where, path.string());
    return info;
  };
  EXPECT_THAT(failure("PAR1"), Names(testing::_, HasSubstr("too small")));
  EXPECT_NE(failure(whole.substr(0, whole.size() - 100)).found, "");  // no footer
  std::string damaged = whole;
  for (size_t i = damaged.size() - 300; i < damaged.size() - 8; ++i) damaged[i] = '\xA5';
  EXPECT_NE(failure(damaged).found, "");
  damaged = whole;
  damaged[damaged.size() - 6] = '\x7F';  // length of the footer
  EXPECT_NE(failure(damaged).found, "");
  damaged = whole;
  for (size_t i = 100; i < whole.size() / 2; ++i) damaged[i] = '\xFF';  // pages
  EXPECT_NE(failure(damaged).found, "");
}

TEST_F(Parquet, EndsItsHelperWhenTheReaderGoes) {
  const std::unique_ptr<RowReader> reader = OpenRows(Fixture("conversations_zstd.parquet"), {.duckdb = duckdb_});
  EXPECT_TRUE(reader->Next());
}

TEST(ParquetFile, IsKnownByItsMagic) {
  RowFiles files;
  const auto failure = [&](const std::string& name, std::string_view bytes) {
    ErrorInfo info = InfoOf([&] { OpenRows(files.Write(name, bytes)); });
    EXPECT_EQ(info.where, files.Path(name).string());
    return info;
  };
  EXPECT_THAT(failure("a.parquet", "{\"a\": 1}\n").found, "\"{\"a\"\"");
  EXPECT_THAT(failure("a.parquet", "").expected, HasSubstr("PAR1"));
  EXPECT_THAT(failure("a.parquet", "PARE....PARE").hint, HasSubstr("encrypted"));
}

// Programs in DuckDB's place: scripts that answer the question for columns and rows, then do what the test says.
class Helper : public testing::Test {
 protected:
  std::filesystem::path Script(const std::string& then, const std::string& rows = "2") const {
    const std::filesystem::path path = files_.Write(
        "duckdb",
        "#!/bin/sh\ncase \"$*\" in *DESCRIBE*)\n  echo '{\"column_name\":\"a\",\"column_type\":\"VARCHAR\"}'\n  echo "
        "'{\"num_rows\":" +
            rows + "}'\n  exit 0 ;;\nesac\necho '{\"a\":\"1\"}'\n" + then + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  // Reads rows until it fails; kept_ has what came before.
  ErrorInfo Failure(const std::filesystem::path& duckdb, double patience_s = 60) {
    kept_ = 0;
    return InfoOf([&] {
      const std::unique_ptr<RowReader> reader = OpenRows(file_, {.duckdb = duckdb, .patience_s = patience_s});
      while (reader->Next()) ++kept_;
    });
  }
  RowFiles files_;
  const std::filesystem::path file_ = Fixture("values.parquet");
  size_t kept_ = 0;
};

TEST_F(Helper, SuccessGivesAllRows) {
  const std::filesystem::path duckdb = Script("echo '{\"a\":\"2\"}'");
  EXPECT_THAT(Summary(CollectRows(*OpenRows(file_, {.duckdb = duckdb}))),
              ElementsAre("0:{\"a\":\"1\"}", "0:{\"a\":\"2\"}"));
}

TEST_F(Helper, ItsMessageIsShown) {
  EXPECT_THAT(Failure(Script("echo 'Invalid Error: page 7' >&2; echo 'LINE 1: ...' >&2; exit 1")),
              Names(file_.string(), "\"Invalid Error: page 7\""));
  EXPECT_EQ(kept_, 1u);
  EXPECT_THAT(Failure(Script(
                  "i=0; while [ $i -lt 5000 ]; do echo 'the same line of thirty bytes' >&2; i=$((i+1)); done; exit 1")),
              Names(file_.string(), "\"the same line of thirty bytes\""));
}

TEST_F(Helper, KilledInTheMiddleIsAnError) {
  const ErrorInfo info = Failure(Script("echo '{\"a\":\"2\"}'; kill -9 $$"));
  EXPECT_EQ(info.where, file_.string());
  EXPECT_THAT(info.what, HasSubstr("signal 9"));
}

TEST_F(Helper, HangingIsAnError) {
  for (const std::string then : {"sleep 1000", "exec >&-; sleep 1000", "(sleep 1000)& wait"}) {
    const auto start = std::chrono::steady_clock::now();
    const ErrorInfo info = Failure(Script(then), 0.3);
    EXPECT_EQ(info.where, file_.string());
    EXPECT_THAT(info.what, HasSubstr("stopped"));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
    EXPECT_EQ(kept_, 1u);
  }
}

TEST_F(Helper, MissingRowsAreAnError) {
  EXPECT_THAT(Failure(Script("", "5")), Names(file_.string(), "1"));
  EXPECT_THAT(Failure(Script("echo '{\"a\":\"2\"}'", "1")), Names(file_.string(), "2"));
}

TEST_F(Helper, AnotherProgramIsAnError) {
  EXPECT_THAT(Failure("/bin/echo"), Names("/bin/echo", HasSubstr("-init")));
  EXPECT_THAT(Failure(files_.Path("absent")), Names(files_.Path("absent").string()));
  EXPECT_THAT(Failure(file_), Names(file_.string()));  // not executable
  const std::filesystem::path broken = files_.Write("broken", "no program");
  std::filesystem::permissions(broken, std::filesystem::perms::owner_all);
  EXPECT_THAT(Failure(broken), Names(broken.string()));
}

// Waits until the process is gone. Its parent is gone: whoever adopted it may take a moment to reap it.
bool IsGone(pid_t id) {
  for (int i = 0; i < 1000; ++i) {
    std::ifstream stat("/proc/" + std::to_string(id) + "/stat");
    const std::string state((std::istreambuf_iterator<char>(stat)), {});
    if (state.empty() || state.find(") Z ") != std::string::npos) return true;
    usleep(10000);
  }
  return false;
}

TEST_F(Helper, EndsWithItsChildrenWhenTheProgramIsKilled) {
  const std::filesystem::path ids = files_.Path("ids");
  const std::filesystem::path duckdb =
      Script("sleep 1000 & echo $! $$ > " + ids.string() + "; echo '{\"a\":\"2\"}'; wait");
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t program = fork();
  ASSERT_GE(program, 0);
  if (program == 0) {
    const std::unique_ptr<RowReader> reader = OpenRows(file_, {.duckdb = duckdb});
    const bool read = reader->Next() && reader->Next();
    if (read && write(ready[1], "x", 1) == 1) pause();
    _exit(1);
  }
  close(ready[1]);
  char byte = 0;
  EXPECT_EQ(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  kill(program, SIGKILL);
  waitpid(program, nullptr, 0);
  std::ifstream file(ids);
  pid_t child = 0, helper = 0;
  ASSERT_TRUE(file >> child >> helper);
  EXPECT_TRUE(IsGone(child));
  EXPECT_TRUE(IsGone(helper));
}

TEST_F(Helper, EndsWithItsChildrenWhenTheReaderGoes) {
  const std::filesystem::path ids = files_.Path("ids");
  {
    const std::filesystem::path duckdb =
        Script("sleep 1000 & echo $! > " + ids.string() + "; echo '{\"a\":\"2\"}'; wait");
    const std::unique_ptr<RowReader> reader = OpenRows(file_, {.duckdb = duckdb});
    EXPECT_TRUE(reader->Next());
    EXPECT_TRUE(reader->Next());
  }
  EXPECT_TRUE(IsGone(std::stoi(BytesOfFile(ids))));
}

TEST_F(Helper, IsLookedForInPath) {
  const std::filesystem::path duckdb = Script("echo '{\"a\":\"2\"}'");
  const char* const path = std::getenv("PATH");
  const char* const home = std::getenv("HOME");
  const std::string old_path = path ? path : "", old_home = home ? home : "";
  setenv("HOME", files_.Path("home").c_str(), 1);
  setenv("PATH", (".::/absent:" + duckdb.parent_path().string()).c_str(), 1);
  EXPECT_EQ(FindDuckDb({}), duckdb);
  setenv("PATH", ".:/absent", 1);
  EXPECT_THAT(InfoOf([&] { FindDuckDb({}); }).hint, HasSubstr("pipx install duckdb-cli"));
  std::filesystem::create_directories(files_.Path("home/.local/bin"));
  std::filesystem::copy(duckdb, files_.Path("home/.local/bin/duckdb"));
  EXPECT_EQ(FindDuckDb({}), files_.Path("home/.local/bin/duckdb"));
  EXPECT_EQ(FindDuckDb(duckdb), duckdb);
  setenv("PATH", old_path.c_str(), 1);
  setenv("HOME", old_home.c_str(), 1);
}

}  // namespace
}  // namespace stablelm
