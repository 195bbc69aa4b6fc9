// Opens folders as users have them: complete, incomplete, of the wrong kind, in the hub cache.
#include "checkpoint/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "checkpoint/error_text.h"
#include "checkpoint/huggingface/hub_cache.h"
#include "checkpoint/huggingface/shard_index.h"
#include "checkpoint/tiny_model.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string Refusal(const fs::path& path) {
  return ErrorText([&] { ModelFolder::Open(path.string()); });
}

class ModelFolderTest : public testing::Test {
 protected:
  ModelFolderTest() : model_(temp_.path() / "model") { WriteTinyModel(model_); }

  void Weights(const std::vector<TinyTensor>& tensors) { WriteTinySafetensors(model_ / "model.safetensors", tensors); }
  // Writes two shards and their index, modified by `damage`.
  void Shards(const std::function<void(nlohmann::json&)>& damage = [](nlohmann::json&) {}) {
    fs::remove(model_ / "model.safetensors");
    const auto all = TinyTensors(TinyConfig());
    const auto half = static_cast<std::ptrdiff_t>(all.size() / 2);
    WriteTinySafetensors(model_ / "s1.safetensors", {all.begin(), all.begin() + half});
    WriteTinySafetensors(model_ / "s2.safetensors", {all.begin() + half, all.end()});
    nlohmann::json index = {{"metadata", {{"total_size", 1}}}};
    for (size_t i = 0; i < all.size(); ++i) {
      index["weight_map"][all[i].name] = i < all.size() / 2 ? "s1.safetensors" : "s2.safetensors";
    }
    damage(index);
    WriteTextFileAtomically(model_ / "model.safetensors.index.json", index.dump());
  }

  const TempFolder temp_;
  const fs::path model_;
};

TEST_F(ModelFolderTest, CompleteFolder) {
  const auto model = ModelFolder::Open(model_.string());
  EXPECT_THAT(model->warnings(), IsEmpty());
  EXPECT_FALSE(model->source().HasTokenizer());
  EXPECT_EQ(model->files().size(), 1u);
  EXPECT_EQ(model->places().size(), model->table().size());
  for (size_t i = 0; i < model->table().size(); ++i) EXPECT_EQ(model->TensorOf(i).name, model->table()[i].name);
  WriteTextFileAtomically(model_ / "tokenizer.json", "{}");
  EXPECT_TRUE(ModelFolder::Open(model_.string())->source().HasTokenizer());
}

TEST_F(ModelFolderTest, WhatNewUsersMeet) {
  EXPECT_THAT(Refusal(temp_.path() / "nowhere"), HasSubstr("no such folder"));
  EXPECT_THAT(Refusal(""), HasSubstr("empty"));
  EXPECT_THAT(Refusal(model_ / "model.safetensors"), AllOf(HasSubstr("this is a file"), HasSubstr(model_.string())));
  EXPECT_THAT(Refusal(model_ / "config.json" / "x"), HasSubstr("no such folder"));
  fs::create_directory(temp_.path() / "bare");
  EXPECT_THAT(Refusal(temp_.path() / "bare"), HasSubstr("the folder is empty"));
  fs::rename(model_ / "model.safetensors", model_ / "weights.safetensors");
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("no weights"), HasSubstr("only \"weights.safetensors\"")));
  fs::rename(model_ / "config.json", model_ / "configuration.json");
  EXPECT_THAT(Refusal(model_), HasSubstr("no config.json"));
  WriteTextFileAtomically(model_ / "adapter_config.json", "{}");
  EXPECT_THAT(Refusal(model_), HasSubstr("LoRA adapter"));
}

TEST_F(ModelFolderTest, TextFileAsWeights) {
  WriteTextFileAtomically(model_ / "model.safetensors", "Sorry, you need to log in to download this file.\n");
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("model.safetensors"), HasSubstr("not a safetensors file")));
  fs::remove(model_ / "model.safetensors");
  WriteTextFileAtomically(model_ / "pytorch_model.bin", "Sorry, you need to log in to download this file.\n");
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("pytorch_model.bin"), HasSubstr("begins with \"Sorry")));
}

TEST_F(ModelFolderTest, TruncatedWeights) {
  fs::resize_file(model_ / "model.safetensors", fs::file_size(model_ / "model.safetensors") - 1);
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("past the end of the file"), HasSubstr("truncated")));
}

TEST_F(ModelFolderTest, LfsPointer) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') + "\nsize 10161140290\n";
  for (const char* name : {"model.safetensors", "config.json"}) {
    WriteTinyModel(model_);
    WriteTextFileAtomically(model_ / name, pointer);
    EXPECT_THAT(Refusal(model_), AllOf(HasSubstr(name), HasSubstr("Git LFS pointer"), HasSubstr("10161140290 bytes"),
                                       HasSubstr("git lfs pull")));
  }
}

TEST_F(ModelFolderTest, MissingSurplusAndRepeatedTensorsAreNamed) {
  auto tensors = TinyTensors(TinyConfig());
  tensors.pop_back();
  Weights(tensors);
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("1 of 28 tensors are missing"), HasSubstr("\"embed_out.weight\"")));
  tensors.push_back({"output.weight", DType::kF32, {10, 8}, {}});
  Weights(tensors);
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("missing"), HasSubstr("instead \"output.weight\"")));
  tensors = TinyTensors(TinyConfig());
  tensors.push_back({"gpt_neox.layers.2.attention.dense.bias", DType::kF32, {8}, {}});
  Weights(tensors);
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("does not have"), HasSubstr("layers.2.attention.dense.bias")));
}

TEST_F(ModelFolderTest, WrongShapesAndTypesAreNamed) {
  auto tensors = TinyTensors(TinyConfig());
  tensors[5].shape = {8, 24};
  Weights(tensors);
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("layers.0.attention.query_key_value.weight"), HasSubstr("found [8, 24]"),
                                     HasSubstr("expected [24, 8]")));
  tensors = TinyTensors(TinyConfig());
  std::vector<SafetensorsEntry> entries;
  for (const TinyTensor& tensor : tensors) entries.push_back({tensor.name, DType::kI8, tensor.shape});
  SafetensorsWriter writer(model_ / "model.safetensors", entries);
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::vector<std::byte> zeros(writer.TensorBytes(i));
    writer.WriteAt(i, 0, zeros);
  }
  writer.Commit();
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("unsupported type"), HasSubstr("found I8"), HasSubstr("fp32, fp16")));
}

TEST_F(ModelFolderTest, OutputMatrixMayBeCalledLmHead) {
  auto tensors = TinyTensors(TinyConfig());
  tensors.back().name = "lm_head.weight";
  Weights(tensors);
  EXPECT_EQ(Refusal(model_), "");
  tensors.push_back({"embed_out.weight", DType::kF32, {10, 8}, {}});
  Weights(tensors);
  EXPECT_THAT(Refusal(model_), HasSubstr("two output matrices"));
}

TEST_F(ModelFolderTest, OldBuffersAreIgnored) {
  auto tensors = TinyTensors(TinyConfig());
  for (const char* name : {"gpt_neox.layers.0.attention.bias", "gpt_neox.layers.1.attention.masked_bias",
                           "gpt_neox.layers.0.attention.rotary_emb.inv_freq"}) {
    tensors.push_back({name, DType::kF32, {1, 1, 3}, {}});
  }
  Weights(tensors);
  EXPECT_EQ(Refusal(model_), "");
}

TEST_F(ModelFolderTest, TiedModelMayHoldACopyOfTheEmbeddingOnly) {
  ModelConfig config = TinyConfig();
  config.tie_word_embeddings = true;
  WriteTinyModel(model_, config);
  EXPECT_EQ(Refusal(model_), "");
  auto tensors = TinyTensors(TinyConfig());
  Weights(tensors);  // every tensor has the same values
  EXPECT_EQ(Refusal(model_), "");
  tensors.back().values.assign(80, 0.5f);
  Weights(tensors);
  EXPECT_THAT(Refusal(model_), HasSubstr("ties the output matrix"));
}

TEST_F(ModelFolderTest, Shards) {
  Shards();
  const auto model = ModelFolder::Open(model_.string());
  EXPECT_EQ(model->files().size(), 2u);
}

TEST_F(ModelFolderTest, ShardMissing) {
  Shards();
  fs::remove(model_ / "s2.safetensors");
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("files of the checkpoint are missing"), HasSubstr("s2.safetensors")));
}

TEST_F(ModelFolderTest, IndexNamesATensorThatIsNotThere) {
  Shards([](nlohmann::json& index) { index["weight_map"]["x"] = "s1.safetensors"; });
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("are not there"), HasSubstr("\"x\"")));
}

TEST_F(ModelFolderTest, IndexLeavesATensorOut) {
  Shards([](nlohmann::json& index) { index["weight_map"].erase("embed_out.weight"); });
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("does not name it"), HasSubstr("embed_out.weight")));
}

TEST_F(ModelFolderTest, IndexPutsATensorInAnotherFile) {
  Shards([](nlohmann::json& index) { index["weight_map"]["embed_out.weight"] = "s1.safetensors"; });
  EXPECT_NE(Refusal(model_), "");
}

TEST_F(ModelFolderTest, SameTensorInTwoShards) {
  Shards();
  auto all = TinyTensors(TinyConfig());
  const auto half = static_cast<std::ptrdiff_t>(all.size() / 2);
  std::vector<TinyTensor> second(all.begin() + half, all.end());
  second.push_back(all[0]);
  WriteTinySafetensors(model_ / "s2.safetensors", second);
  EXPECT_THAT(Refusal(model_), HasSubstr("the index puts it in \"s1.safetensors\""));
}

TEST_F(ModelFolderTest, OrderOfPreference) {
  Shards();
  WriteTextFileAtomically(model_ / "model.safetensors", "never opened");
  WriteTextFileAtomically(model_ / "pytorch_model.bin", "never opened");
  WriteTextFileAtomically(model_ / "training_args.bin", "never opened");
  EXPECT_EQ(ModelFolder::Open(model_.string())->files().size(), 2u);
  fs::remove(model_ / "model.safetensors.index.json");
  EXPECT_THAT(Refusal(model_), HasSubstr("model.safetensors"));
  fs::remove(model_ / "model.safetensors");
  EXPECT_THAT(Refusal(model_), HasSubstr("pytorch_model.bin"));
}

TEST(ShardIndexTest, Broken) {
  const auto refusal = [](const std::string& json) { return ErrorText([&] { ParseShardIndex(json, "i"); }); };
  EXPECT_EQ(refusal(R"({"metadata":{"a":1},"weight_map":{"x":"f.bin"}})"), "");
  EXPECT_THAT(refusal("[]"), HasSubstr("not an index"));
  EXPECT_THAT(refusal("{}"), HasSubstr("weight_map"));
  EXPECT_THAT(refusal(R"({"weight_map":{}})"), HasSubstr("is empty"));
  EXPECT_THAT(refusal(R"({"weight_map":[]})"), HasSubstr("not an index"));
  EXPECT_THAT(refusal(R"({"weight_map":{"x":1}})"), HasSubstr("not a string"));
  EXPECT_THAT(refusal(R"({"weight_map":{"x":"a","x":"b"}})"), HasSubstr("appears twice"));
  for (const char* name : {"", ".", "..", "../a", "/etc/passwd", "a/b", "a\\\\b", "C:a", "a\\u0000b", "a\\nb"}) {
    EXPECT_THAT(refusal(std::string(R"({"weight_map":{"x":")") + name + "\"}}"), HasSubstr("unsafe file name")) << name;
  }
}

// ---- hub cache ----

TEST(HubIdTest, Forms) {
  EXPECT_EQ(ParseHubId("stabilityai/stablelm-base-alpha-3b")->name, "stablelm-base-alpha-3b");
  EXPECT_EQ(ParseHubId("a/b")->revision, "main");
  EXPECT_EQ(ParseHubId("a/b@refs/pr/1")->revision, "refs/pr/1");
  for (const char* text : {"", "a", "a/", "/a", "-a/b", "a/-b", "a/b@-x", "a/b/c", "./a", "../a", "a/..", "a b/c",
                           "a/b@", "a/b@../x", "a/b@x//y"}) {
    EXPECT_FALSE(ParseHubId(text)) << text;
  }
  EXPECT_TRUE(ParseHubId("a/" + std::string(96, 'b')));
  EXPECT_FALSE(ParseHubId("a/" + std::string(97, 'b')));
}

class HubCacheTest : public testing::Test {
 protected:
  const std::string kCommit = std::string(40, 'c');
  HubCacheTest() : hub_(temp_.path() / "hub"), repository_(hub_ / "models--stabilityai--tiny") {
    setenv("HF_HUB_CACHE", hub_.c_str(), 1);
  }
  ~HubCacheTest() override {
    for (const char* name : {"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"}) unsetenv(name);
  }
  fs::path Snapshot(const std::string& commit) { return repository_ / "snapshots" / commit; }
  void Ref(const std::string& name, const std::string& text) {
    fs::create_directories((repository_ / "refs" / name).parent_path());
    WriteTextFileAtomically(repository_ / "refs" / name, text);
  }

  const TempFolder temp_;
  const fs::path hub_, repository_;
};

TEST_F(HubCacheTest, Copies) {
  WriteTinyModel(Snapshot(kCommit));
  Ref("main", kCommit);
  EXPECT_EQ(ModelFolder::Open("stabilityai/tiny")->path(), Snapshot(kCommit));
}

TEST_F(HubCacheTest, SymlinksIntoBlobs) {
  WriteTinyModel(repository_ / "blobs");
  fs::create_directories(Snapshot(kCommit));
  for (const char* name : {"config.json", "model.safetensors"}) {
    const std::string blob = "blob-of-" + std::string(name, 5);
    fs::rename(repository_ / "blobs" / name, repository_ / "blobs" / blob);
    fs::create_symlink(fs::path("../../blobs") / blob, Snapshot(kCommit) / name);
  }
  Ref("main", kCommit + "\n");
  EXPECT_EQ(Refusal("stabilityai/tiny"), "");
}

TEST_F(HubCacheTest, SymlinkToAMissingBlobIsAnIncompleteDownload) {
  WriteTinyModel(Snapshot(kCommit));
  Ref("main", kCommit);
  fs::remove(Snapshot(kCommit) / "model.safetensors");
  fs::create_symlink("../../blobs/gone", Snapshot(kCommit) / "model.safetensors");
  EXPECT_THAT(Refusal("stabilityai/tiny"), HasSubstr("no weights"));
}

TEST_F(HubCacheTest, CaseOfTheNameDoesNotMatter) {
  WriteTinyModel(Snapshot(kCommit));
  Ref("main", kCommit);
  EXPECT_EQ(Refusal("StabilityAI/Tiny"), "");
}

TEST_F(HubCacheTest, Revisions) {
  const std::string other(40, 'd');
  WriteTinyModel(Snapshot(kCommit));
  EXPECT_EQ(Refusal("stabilityai/tiny"), "");  // no refs, but a single snapshot
  WriteTinyModel(Snapshot(other));
  EXPECT_THAT(Refusal("stabilityai/tiny"), AllOf(HasSubstr("\"main\" is not in the cache"), HasSubstr(kCommit)));
  EXPECT_EQ(ModelSource::Open("stabilityai/tiny@" + other)->path(), Snapshot(other));
  EXPECT_EQ(ModelSource::Open("stabilityai/tiny@ddddddd")->path(), Snapshot(other));
  EXPECT_THAT(Refusal("stabilityai/tiny@dd"), HasSubstr("not in the cache"));
  Ref("refs/pr/1", other);
  EXPECT_EQ(ModelSource::Open("stabilityai/tiny@refs/pr/1")->path(), Snapshot(other));
  Ref("main", std::string(40, 'e'));
  EXPECT_THAT(Refusal("stabilityai/tiny"), HasSubstr("has no files of it"));
  Ref("main", "../../../elsewhere");
  EXPECT_THAT(Refusal("stabilityai/tiny"), HasSubstr("damaged reference"));
}

TEST_F(HubCacheTest, UnknownIdSaysWhereItLooked) {
  EXPECT_THAT(Refusal("stabilityai/none"), AllOf(HasSubstr("no such folder"), HasSubstr(hub_.string())));
}

TEST_F(HubCacheTest, RepositoryFolderItself) {
  WriteTinyModel(Snapshot(kCommit));
  EXPECT_THAT(Refusal(repository_), HasSubstr("repository of the Hugging Face cache"));
}

TEST_F(HubCacheTest, PlaceOfTheCache) {
  setenv("HF_HOME", "/h", 1);
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(HubCacheFolder(), hub_);
  unsetenv("HF_HUB_CACHE");
  EXPECT_EQ(HubCacheFolder(), "/h/hub");
  unsetenv("HF_HOME");
  EXPECT_EQ(HubCacheFolder(), "/x/huggingface/hub");
  unsetenv("XDG_CACHE_HOME");
  EXPECT_THAT(HubCacheFolder().string(), testing::EndsWith(".cache/huggingface/hub"));
}

}  // namespace
}  // namespace stablelm
