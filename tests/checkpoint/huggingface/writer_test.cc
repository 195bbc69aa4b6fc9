#include "checkpoint/huggingface/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/thread_pool.h"
#include "checkpoint/huggingface/folder_hashes.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/tensor_values.h"
#include "checkpoint/tiny_model.h"
#include "error_info.h"
#include "error_text.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

// Fills every tensor with fp16 values that encode entry and index, in pieces, from two threads.
void Fill(FolderWriter& writer) {
  ThreadPool pool(2);
  pool.ForEach(writer.table().size(), [&](size_t entry, size_t) {
    const auto n = static_cast<size_t>(writer.table()[entry].shape.NumElements());
    for (size_t i = 0; i < n; ++i) {
      const F16 value = ToF16(static_cast<float>(entry) + static_cast<float>(i % 32) / 32);
      writer.WriteAt(entry, 2 * i, std::as_bytes(std::span(&value, 1)));
    }
  });
}

// Tensors of another file beside the model's, and the hashes of all: they appear with the folder or not at all.
TEST(FolderWriterTest, CarriesOtherTensorsAndHashes) {
  const TempFolder temp;
  const auto write = [&](const fs::path& out) {
    FolderWriter writer(out, TinyConfig(), {.dtype = DType::kF16});
    writer.WriteText("note.txt", "hello");
    SafetensorsWriter& more = writer.AddTensors("more.safetensors", {{.name = "a", .shape = Shape({3})}});
    Fill(writer);
    const float values[] = {1, 2, 3};
    more.WriteAt(0, 0, std::as_bytes(std::span(values)));
    writer.Commit(true);
  };
  write(temp.path() / "one");
  write(temp.path() / "two");
  EXPECT_THAT(NamesIn(temp.path()), ElementsAre("one", "two"));
  const fs::path out = temp.path() / "one";
  EXPECT_THAT(NamesIn(out), ElementsAre(kHashFile, "config.json", "model.safetensors", "more.safetensors", "note.txt"));
  EXPECT_TRUE(ModelFolder::Open(out.string())->warnings().empty());
  EXPECT_EQ(SafetensorsFile(out / "more.safetensors").Get("a").shape, Shape({3}));
  uint64_t bytes = 0;
  const std::string hash = CheckFolderHashes(out, [&](size_t n) { bytes += n; });
  EXPECT_EQ(hash, HashOfHashes(out));
  EXPECT_EQ(hash, CheckFolderHashes(temp.path() / "two"));
  EXPECT_GT(bytes, 1000u);
  std::ofstream(temp.path() / "two" / "note.txt") << "hallo";
  EXPECT_THAT(InfoOf([&] { CheckFolderHashes(temp.path() / "two"); }),
              stablelm::Names((temp.path() / "two" / "note.txt").string(), testing::StartsWith("SHA-256 d3751d33")));
  fs::remove(out / "more.safetensors");
  EXPECT_THAT(InfoOf([&] { CheckFolderHashes(out); }), stablelm::Names((out / "more.safetensors").string()));
  std::ofstream(out / kHashFile) << "0123  ../note.txt\n";
  EXPECT_THAT(InfoOf([&] { CheckFolderHashes(out); }), stablelm::Names((out / kHashFile).string(), HasSubstr("0123")));
}

TEST(FolderWriterTest, AFolderWithoutAModel) {
  const TempFolder temp;
  {
    FolderWriter writer(temp.path() / "out");
    writer.WriteText("a", "b");
    writer.AddTensors("t.safetensors", {{.name = "a", .shape = Shape({1})}});
  }
  EXPECT_THAT(NamesIn(temp.path()), ElementsAre());
}

TEST(FolderWriterTest, WrittenFolderOpensWithTheSameValues) {
  const TempFolder temp;
  for (const uint64_t max_shard : {uint64_t{1} << 40, uint64_t{600}, uint64_t{1}}) {
    const fs::path out = temp.path() / ("out" + std::to_string(max_shard));
    FolderWriter writer(out, TinyConfig(), {.dtype = DType::kF16, .max_shard_bytes = max_shard});
    Fill(writer);
    EXPECT_FALSE(fs::exists(out));
    writer.Commit();
    const auto folder = ModelFolder::Open(out.string());
    EXPECT_TRUE(folder->warnings().empty());
    EXPECT_EQ(folder->config().stored_dtype, DType::kF16);
    EXPECT_EQ(folder->files().size(), max_shard == 1 ? folder->table().size() : max_shard == 600 ? 6u : 1u);
    uint64_t total = 0;
    for (const WeightFile& file : folder->files()) {
      uint64_t bytes = 0;
      for (const StoredTensor& tensor : file.tensors) bytes += tensor.bytes;
      EXPECT_TRUE(bytes <= max_shard || file.tensors.size() == 1);
      total += bytes;
    }
    EXPECT_EQ(total, writer.TotalBytes());
    for (size_t entry = 0; entry < folder->table().size(); ++entry) {
      if (!folder->table()[entry].IsMatrix()) continue;
      EXPECT_EQ(folder->TensorOf(entry).dtype, DType::kF16);
      const std::vector<float> values = FloatsOf(*folder, entry);
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(values[i], static_cast<float>(entry) + static_cast<float>(i % 32) / 32);
      }
    }
    if (max_shard == 600) {
      EXPECT_THAT(NamesIn(out), testing::Contains("model-00001-of-00006.safetensors"));
      const auto index = nlohmann::json::parse(ReadTextFile(out / "model.safetensors.index.json", 1 << 20));
      EXPECT_EQ(index["metadata"]["total_size"], total);
    } else if (max_shard > 600) {
      EXPECT_THAT(NamesIn(out), ElementsAre("config.json", "model.safetensors"));
    }
  }
}

TEST(FolderWriterTest, NothingIsLeftWithoutCommit) {
  const TempFolder temp;
  {
    FolderWriter writer(temp.path() / "out", TinyConfig(), {});
    EXPECT_EQ(NamesIn(temp.path()).size(), 1u);
  }
  EXPECT_TRUE(fs::is_empty(temp.path()));
}

TEST(FolderWriterTest, TokenizerFilesAreCopiedThroughLinks) {
  const TempFolder temp;
  const fs::path source = temp.path() / "source";
  fs::create_directory(source);
  WriteTextFileAtomically(temp.path() / "blob", "tokens");
  fs::permissions(temp.path() / "blob", fs::perms::owner_read);
  fs::create_symlink("../blob", source / "tokenizer.json");
  WriteTextFileAtomically(source / "special_tokens_map.json", "{}");
  WriteTextFileAtomically(source / "README.md", "not copied");
  FolderWriter writer(temp.path() / "out" / "", TinyConfig(), {.dtype = DType::kF16});
  Fill(writer);
  writer.CopyTokenizer(source);
  EXPECT_THAT(ErrorText([&] { writer.CopyFile(source / "none", "x"); }), HasSubstr("cannot copy"));
  writer.Commit();
  EXPECT_THAT(NamesIn(temp.path() / "out"),
              ElementsAre("config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json"));
  EXPECT_FALSE(fs::is_symlink(temp.path() / "out" / "tokenizer.json"));
  EXPECT_EQ(ReadTextFile(temp.path() / "out" / "tokenizer.json", 100), "tokens");
}

TEST(FolderWriterTest, RefusesToReplaceAnything) {
  const TempFolder temp;
  const auto refusal = [&](const fs::path& out) { return ErrorText([&] { FolderWriter(out, TinyConfig(), {}); }); };
  fs::create_directory(temp.path() / "full");
  WriteTextFileAtomically(temp.path() / "full" / "x", "x");
  EXPECT_THAT(refusal(temp.path() / "full"), HasSubstr("not empty"));
  EXPECT_THAT(refusal(temp.path() / "full" / "x"), HasSubstr("there is a file"));
  EXPECT_THAT(refusal(temp.path() / "none" / "out"), HasSubstr("parent folder does not exist"));
  EXPECT_THAT(NamesIn(temp.path()), ElementsAre("full"));
  fs::create_directory(temp.path() / "empty");
  FolderWriter writer(temp.path() / "empty", TinyConfig(), {.dtype = DType::kF16});
  Fill(writer);
  WriteTextFileAtomically(temp.path() / "empty" / "late", "somebody was faster");
  EXPECT_THAT(ErrorText([&] { writer.Commit(); }), HasSubstr("cannot move"));
  EXPECT_THAT(NamesIn(temp.path() / "empty"), ElementsAre("late"));
}

TEST(FolderWriterTest, WorksIntoAnEmptyFolder) {
  const TempFolder temp;
  fs::create_directory(temp.path() / "out");
  FolderWriter writer(temp.path() / "out", TinyConfig(), {.dtype = DType::kF16});
  Fill(writer);
  writer.Commit();
  EXPECT_EQ(ErrorText([&] { ModelFolder::Open((temp.path() / "out").string()); }), "");
}

TEST(ByteSizeTest, Forms) {
  EXPECT_EQ(ParseByteSize("5GB", "x"), 5'000'000'000u);
  EXPECT_EQ(ParseByteSize("1GiB", "x"), 1u << 30);
  EXPECT_EQ(ParseByteSize("7", "x"), 7u);
  for (const char* text :
       {"", "0", "GB", "5 GB", "5gb", "-5GB", "1.5GB", "99999999999999999999", "999999999999999GB"}) {
    EXPECT_THAT(ErrorText([&] { ParseByteSize(text, "--max-shard-size"); }), HasSubstr("not a size")) << text;
  }
}

}  // namespace
}  // namespace stablelm
