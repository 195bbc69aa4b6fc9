// What paths in a recipe stand for: files, folders, patterns and data sets of the hub's cache.
#include "dataset/source_files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

// A folder for recipes and, next to it, an empty cache of the hub.
class SourceFiles : public testing::Test {
 protected:
  SourceFiles() : recipes_(temp_.path() / "recipes"), cache_(temp_.path() / "hub") {
    fs::create_directories(recipes_);
    fs::create_directories(cache_);
    if (const char* before = std::getenv("HF_HUB_CACHE")) before_ = before;
    setenv("HF_HUB_CACHE", cache_.c_str(), 1);
  }
  ~SourceFiles() override { before_.empty() ? unsetenv("HF_HUB_CACHE") : setenv("HF_HUB_CACHE", before_.c_str(), 1); }

  void Write(const fs::path& path, const std::string& text = "{}") const {
    fs::create_directories((recipes_ / path).parent_path());
    std::ofstream(recipes_ / path) << text;
  }
  // The files of a snapshot; `refs/main` names it.
  fs::path Snapshot(const std::string& repository, const std::vector<std::string>& files) const {
    const fs::path snapshot = cache_ / repository / "snapshots" / "0123456789abcdef";
    for (const std::string& file : files) Write(snapshot / file);
    Write(cache_ / repository / "refs" / "main", "0123456789abcdef");
    return snapshot;
  }

  std::vector<SourceFile> Find(const std::vector<std::string>& paths, const std::string& split = "train") const {
    SourceRecipe source;
    source.name = "s";
    source.paths = paths;
    source.split = split;
    return FindSourceFiles(source, recipes_);
  }
  std::string Names(const std::vector<std::string>& paths, const std::string& split = "train") const {
    std::vector<std::string> names;
    for (const SourceFile& file : Find(paths, split)) {
      EXPECT_TRUE(fs::is_regular_file(file.path)) << file.path;
      names.push_back(file.name);
    }
    return Joined(names, " ");
  }
  ErrorInfo Refused(const std::vector<std::string>& paths, const std::string& split = "train") const {
    return InfoOf([&] { Find(paths, split); });
  }

  TempFolder temp_;
  fs::path recipes_, cache_;
  std::string before_;
};

TEST_F(SourceFiles, FilesAreRelativeToTheRecipe) {
  Write("data/a.json");
  Write("../b.jsonl");
  EXPECT_EQ(Names({"data/a.json", "../b.jsonl"}), "a.json b.jsonl");
  EXPECT_EQ(Find({"data/a.json"})[0].path, recipes_ / "data/a.json");
  EXPECT_EQ(Names({(recipes_ / "data/a.json").string()}), "a.json");
}

TEST_F(SourceFiles, EqualNamesAreTold) {
  Write("a/train.json");
  Write("b/train.json");
  EXPECT_EQ(Names({"a/train.json", "b/train.json"}), "train.json train.json#2");
  EXPECT_THAT(Refused({"a/train.json", "b/../a/*.json"}),
              stablelm::Names("source \"s\": path \"b/../a/*.json\"", testing::_));
}

TEST_F(SourceFiles, PatternsAreSortedByBytes) {
  for (const char* name : {"d/b.json", "d/B.json", "d/a10.json", "d/a9.json", "d/\u00e9.json", "d/.hidden.json",
                           "d/x.csv", "d/sub/a.json", "d/sub/deep/z.json"}) {
    Write(name);
  }
  EXPECT_EQ(Names({"d/*.json"}), "B.json a10.json a9.json b.json \u00e9.json");
  EXPECT_EQ(Names({"d/a?.json"}), "a9.json");
  EXPECT_EQ(Names({"d/../d/./a?.json"}), "a9.json");
  EXPECT_EQ(Names({"d/[ab].json"}), "b.json");
  EXPECT_EQ(Names({"*/sub/*.json"}), "d/sub/a.json");
  EXPECT_EQ(Names({"d/sub/**/*.json"}), "a.json deep/z.json");
  EXPECT_EQ(Names({"d/sub/**"}), "a.json deep/z.json");
  EXPECT_EQ(Names({(recipes_ / "d/x.*").string()}), "x.csv");
  Write("d/w[1].json");
  EXPECT_EQ(Names({"d/w[1].json"}), "w[1].json");  // it exists as it stands
  const ErrorInfo info = Refused({"d/*.jsonl"});
  EXPECT_THAT(info, stablelm::Names("source \"s\": path \"d/*.jsonl\"", testing::HasSubstr("B.json")));
  EXPECT_THAT(Refused({"eee/*.jsonl"}).hint, testing::HasSubstr("contains d"));
}

TEST_F(SourceFiles, FoldersStandForTheirDataFiles) {
  for (const char* name : {"d/b.json", "d/a.jsonl.gz", "d/sub/c.json", "d/notes.txt", "d/.git/x.json", "d/_old/y.json",
                           "d/dataset_info.json", "d/README.md"}) {
    Write(name);
  }
  EXPECT_EQ(Names({"d"}), "a.jsonl.gz b.json sub/c.json");
  EXPECT_EQ(Names({"d/sub/"}), "c.json");
  Write("upper/A.JSONL.GZ");
  EXPECT_EQ(Names({"upper"}), "A.JSONL.GZ");
  Write("t/one.txt");
  EXPECT_EQ(Names({"t"}), "one.txt");
  Write("d/x.csv");
  EXPECT_THAT(Refused({"d"}), stablelm::Names("source \"s\": path \"d\"", testing::HasSubstr("1 of .csv, 3 of .json")));
  Write("e/README.md");
  EXPECT_THAT(Refused({"e"}), stablelm::Names(testing::_, testing::HasSubstr("README.md")));
}

TEST_F(SourceFiles, FoldersHaveSplits) {
  for (const char* name : {"d/train.json", "d/test.json", "d/extra.json"}) Write(name);
  EXPECT_EQ(Names({"d"}), "train.json");
  EXPECT_EQ(Names({"d"}, "test"), "test.json");
  EXPECT_EQ(Names({"d"}, "extra"), "extra.json");
  EXPECT_THAT(Refused({"d"}, "validation"), stablelm::Names(testing::_, testing::HasSubstr("extra.json, test.json")));
}

TEST_F(SourceFiles, FilesLeftOutAreNamed) {
  SourceRecipe source;
  source.name = "s";
  source.split = "train";
  const auto left_out = [&](const std::string& path) {
    std::vector<std::string> sentences;
    source.paths = {path};
    FindSourceFiles(source, recipes_, &sentences);
    return sentences;
  };
  for (const char* name : {"d/training.txt", "d/testing.txt", "d/chat.txt", "d/faq.txt"}) Write(name);
  EXPECT_THAT(left_out("d"),
              testing::ElementsAre("source \"s\": path \"d\": 2 files left out, whose names tell no split while "
                                   "\"training.txt\" does (chat.txt, faq.txt); `path` may be a list: name them too"));
  EXPECT_EQ(Names({"d/**/*.txt*"}), "chat.txt faq.txt testing.txt training.txt");
  EXPECT_THAT(left_out("d/**/*.txt*"), testing::IsEmpty());
  for (const char* name : {"e/a.txt", "e/b.txt", "f/train.json", "f/test.json"}) Write(name);
  EXPECT_THAT(left_out("e"), testing::IsEmpty());
  EXPECT_THAT(left_out("f"), testing::IsEmpty());
}

TEST_F(SourceFiles, AllShardsMustBeThere) {
  for (const char* name : {"d/data/train-00000-of-00003-aa.parquet", "d/data/train-00002-of-00003-bb.parquet",
                           "d/data/test-00000-of-00002.parquet"}) {
    Write(name);
  }
  EXPECT_THAT(Refused({"d"}), stablelm::Names(testing::_, testing::HasSubstr("2 of 3 files \"data/train\"")));
  EXPECT_THAT(Refused({"d"}).found, testing::HasSubstr("number 1"));
  EXPECT_EQ(Names({"d/data/train-*"}), "train-00000-of-00003-aa.parquet train-00002-of-00003-bb.parquet");
  Write("d/data/train-00001-of-00003-cc.parquet");
  EXPECT_EQ(Find({"d"}).size(), 3U);
}

TEST_F(SourceFiles, FindsDataSetsOfTheHub) {
  const fs::path hh =
      Snapshot("datasets--Anthropic--hh-rlhf", {"harmless-base/train.jsonl.gz", "harmless-base/test.jsonl.gz",
                                                "helpful-base/train.jsonl.gz", ".gitattributes", "README.md"});
  EXPECT_EQ(Names({"Anthropic/hh-rlhf"}), "harmless-base/train.jsonl.gz helpful-base/train.jsonl.gz");
  EXPECT_EQ(Names({"anthropic/hh-rlhf@main"}, "test"), "harmless-base/test.jsonl.gz");
  EXPECT_EQ(Names({"Anthropic/hh-rlhf@0123456/helpful-base"}), "train.jsonl.gz");
  EXPECT_EQ(Names({"Anthropic/hh-rlhf/harmless-base/test.jsonl.gz"}), "test.jsonl.gz");
  EXPECT_EQ(Names({"Anthropic/hh-rlhf/*/test.jsonl.gz"}), "harmless-base/test.jsonl.gz");
  EXPECT_EQ(Names({"https://huggingface.co/datasets/Anthropic/hh-rlhf/tree/main/helpful-base"}), "train.jsonl.gz");
  EXPECT_EQ(Names({"HTTPS://HuggingFace.co/datasets/Anthropic/hh-rlhf/tree/main/helpful-base"}), "train.jsonl.gz");
  EXPECT_EQ(Names({"https://huggingface.co/datasets/Anthropic/hh-rlhf/"}, "test"), "harmless-base/test.jsonl.gz");
  EXPECT_EQ(Find({"Anthropic/hh-rlhf/helpful-base"})[0].path, hh / "helpful-base/train.jsonl.gz");
  // A revision with slashes.
  Write(cache_ / "datasets--Anthropic--hh-rlhf/refs/refs/convert/parquet", "fedcba9876543210");
  Write(cache_ / "datasets--Anthropic--hh-rlhf/snapshots/fedcba9876543210/default/train/0000.parquet");
  EXPECT_EQ(Names({"Anthropic/hh-rlhf@refs/convert/parquet"}), "default/train/0000.parquet");
  EXPECT_EQ(Names({"Anthropic/hh-rlhf@refs/convert/parquet/default"}), "train/0000.parquet");
  // What lies in the recipe's folder comes first.
  Write("Anthropic/hh-rlhf/mine.json");
  EXPECT_EQ(Names({"Anthropic/hh-rlhf"}), "mine.json");
  EXPECT_EQ(Names({"Anthropic/hh-rlhf/*.json"}), "mine.json");
}

TEST_F(SourceFiles, NamesWhatWasTriedAndWhatIsThere) {
  Write("data/alpaca.json");
  Snapshot("datasets--tatsu-lab--alpaca", {"data/train-00000-of-00001.parquet"});
  ErrorInfo info = Refused({"data/alpcaa.json"});
  EXPECT_THAT(info, stablelm::Names("source \"s\": path \"data/alpcaa.json\""));
  EXPECT_THAT(info.what, testing::HasSubstr((recipes_ / "data/alpcaa.json").string()));
  EXPECT_THAT(info.hint, testing::HasSubstr("alpaca.json"));
  info = Refused({"tatsulab/alpaca"});
  EXPECT_THAT(info.what, testing::HasSubstr(cache_.string()));
  EXPECT_THAT(info.hint, testing::HasSubstr("tatsu-lab/alpaca"));
  EXPECT_THAT(Refused({"some-org/another-set"}).hint,
              testing::HasSubstr("hf download --repo-type dataset some-org/another-set"));
  EXPECT_THAT(Refused({"tatsu-lab/alpaca@v9"}).what, testing::HasSubstr("\"v9\""));
  EXPECT_THAT(Refused({"tatsu-lab/alpaca/data/test.json"}).hint, testing::HasSubstr("train-00000-of-00001.parquet"));
  EXPECT_THAT(Refused({"tatsu-lab/alpaca"}, "test"),
              stablelm::Names(testing::_, testing::HasSubstr("data/train-00000-of-00001.parquet")));
}

TEST_F(SourceFiles, TellsAHubIdThatIsNotInTheCacheFromAPathThatIsNotThere) {
  Write("data/alpaca.json");
  Snapshot("datasets--tatsu-lab--alpaca", {"README.md"});
  for (const char* missing : {"org/name", "org/name@main/below", "https://huggingface.co/datasets/org/name"}) {
    EXPECT_TRUE(IsMissingOnHub(missing, recipes_)) << missing;
  }
  for (const char* path : {"name", "name.json", "org/name.json", "data/name", "data/*", "/org/name", "./name",
                           "tatsu-lab/alpaca", "tatsu-lab/alpaca/x", "data"}) {
    EXPECT_FALSE(IsMissingOnHub(path, recipes_)) << path;
  }
}

TEST_F(SourceFiles, RefusesPointersAndBrokenLinks) {
  Write("p.json", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 13085339\n");
  EXPECT_THAT(InfoOf([&] { Find({"p.json"}); }).expected, testing::HasSubstr("13085339"));
  fs::create_symlink("../blobs/none", recipes_ / "link.json");
  EXPECT_THAT(InfoOf([&] { Find({"link.json"}); }), stablelm::Names((recipes_ / "link.json").string(), testing::_));
  fs::create_directory(recipes_ / "d");
  fs::create_symlink("../../blobs/none", recipes_ / "d/link.json");
  EXPECT_THAT(InfoOf([&] { Find({"d"}); }), stablelm::Names((recipes_ / "d/link.json").string(), testing::_));
}

TEST(DataName, LeavesOutFoldersAndExtensions) {
  EXPECT_EQ(DataName("a/qa.jsonl.gz"), "qa");
  EXPECT_EQ(DataName("qa.v2.csv.zst"), "qa.v2");
  EXPECT_EQ(DataName("ORG/NAME@v1"), "NAME");
  EXPECT_EQ(DataName("QA.CSV"), "QA");
  EXPECT_EQ(DataName("folder/"), "folder");
  EXPECT_EQ(DataName("a@b.json"), "a@b");
  EXPECT_EQ(DataName("data/*.json"), "");
  EXPECT_EQ(DataName(".json"), ".json");
}

// OUT may lie in the folder of the inputs.
TEST_F(SourceFiles, PreparedDataIsNoInput) {
  Write("data/a.json");
  for (const char* name : {"manifest.json", "run.json", "train.index", "train-00000.tokens"}) {
    Write(fs::path("data/out") / name);
  }
  Write("data/other/manifest.json");
  EXPECT_EQ(Names({"data"}), "a.json other/manifest.json");
  EXPECT_NE(Refused({"data/out"}).hint.find("data export"), std::string::npos);
}

}  // namespace
}  // namespace stablelm
