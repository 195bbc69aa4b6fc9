// Opens folders as users have them: complete, incomplete, of the wrong kind, in the hub cache.
#include "checkpoint/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "checkpoint/huggingface/hub_cache.h"
#include "checkpoint/huggingface/shard_index.h"
#include "checkpoint/tiny_model.h"
#include "error_info.h"
#include "error_text.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
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

// The error names the file's kind, and no folder that holds no model either.
TEST_F(ModelFolderTest, FilesWithoutAModelBesideThem) {
  const fs::path folder = temp_.path() / "files";
  fs::create_directory(folder);
  fs::copy(model_ / "model.safetensors", folder / "model.safetensors");
  EXPECT_THAT(Refusal(folder / "model.safetensors"), HasSubstr("this is a safetensors file"));
  WriteTextFileAtomically(folder / "model.gguf.gz", "\x1F\x8B\x08");
  EXPECT_THAT(Refusal(folder / "model.gguf.gz"), AllOf(HasSubstr("packed by gzip"), HasSubstr("gunzip")));
  WriteTextFileAtomically(folder / "notes.txt", "some words");
  EXPECT_THAT(Refusal(folder / "notes.txt"), AllOf(HasSubstr("this file is not a model"), HasSubstr("config.json")));
}

TEST_F(ModelFolderTest, NamesOfOtherProgramsGetTheirHint) {
  EXPECT_THAT(Refusal("org/name:Q4_K_M"), AllOf(HasSubstr("found \":Q4_K_M\""), HasSubstr("give \"org/name\"")));
  EXPECT_THAT(Refusal("hf.co/org/name:Q8_0"), HasSubstr("give \"hf.co/org/name\""));
  EXPECT_THAT(Refusal("https://example.org/model.gguf"), HasSubstr("download the model"));
}

TEST_F(ModelFolderTest, WhatNewUsersMeet) {
  EXPECT_THAT(Refusal(temp_.path() / "nowhere"), HasSubstr("no such folder"));
  EXPECT_THAT(Refusal(""), HasSubstr("empty"));
  EXPECT_THAT(Refusal(model_ / "model.safetensors"), AllOf(HasSubstr("this is a file"), HasSubstr(model_.string())));
  EXPECT_THAT(Refusal(model_ / "config.json" / "x"), HasSubstr("no such folder"));
  fs::create_directory(temp_.path() / "bare");
  EXPECT_THAT(Refusal(temp_.path() / "bare"), HasSubstr("the folder is empty"));
  fs::rename(model_ / "model.safetensors", model_ / "weights.safetensors");
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("no weights"), HasSubstr("only \"weights.safetensors\""),
                                     HasSubstr("name it model.safetensors")));
  fs::rename(model_ / "config.json", model_ / "configuration.json");
  EXPECT_THAT(Refusal(model_), HasSubstr("no config.json"));
  WriteTextFileAtomically(model_ / "adapter_config.json", "{}");
  EXPECT_THAT(Refusal(model_), HasSubstr("LoRA adapter"));
}

TEST_F(ModelFolderTest, TextFileAsWeights) {
  WriteTextFileAtomically(model_ / "model.safetensors", "Sorry, you need to log in to download this file.\n");
  EXPECT_THAT(Refusal(model_),
              AllOf(HasSubstr("model.safetensors: this is text: found \"Sorry"), HasSubstr("a safetensors file")));
  fs::remove(model_ / "model.safetensors");
  WriteTextFileAtomically(model_ / "pytorch_model.bin", "Sorry, you need to log in to download this file.\n");
  EXPECT_THAT(Refusal(model_),
              AllOf(HasSubstr("pytorch_model.bin: this is text: found \"Sorry"), HasSubstr("a PyTorch file")));
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
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("the output matrix is missing"), HasSubstr("\"embed_out.weight\"")));
  tensors.push_back({"output.weight", DType::kF32, {10, 8}, {}});
  Weights(tensors);
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("1 of 28 tensors is missing"), HasSubstr("instead \"output.weight\"")));
  tensors = TinyTensors(TinyConfig());
}

std::vector<std::string> WarningsOf(const fs::path& folder) { return ModelFolder::Open(folder.string())->warnings(); }

// As transformers does: a value head beside the model, for example.
TEST_F(ModelFolderTest, SurplusTensorsAreLeftAsideAndNamed) {
  auto tensors = TinyTensors(TinyConfig());
  tensors.push_back({"v_head.summary.weight", DType::kF32, {1, 8}, {}});
  tensors.push_back({"gpt_neox.layers.2.attention.dense.bias", DType::kF32, {8}, {}});
  Weights(tensors);
  EXPECT_THAT(WarningsOf(model_), ElementsAre(AllOf(HasSubstr("left aside"), HasSubstr("\"v_head.summary.weight\""),
                                                    HasSubstr("layers.2.attention.dense.bias"))));
}

TEST_F(ModelFolderTest, NamesWithAnotherPrefix) {
  for (const std::string prefix : {"", "module.gpt_neox.", "pretrained_model."}) {
    auto tensors = TinyTensors(TinyConfig());
    for (TinyTensor& tensor : tensors) {
      std::string_view name = tensor.name;
      if (name.starts_with("gpt_neox.")) {
        tensor.name = prefix + std::string(name.substr(9));
      } else if (prefix == "module.gpt_neox.") {
        tensor.name = "module." + tensor.name;
      }
    }
    tensors.push_back({prefix + "layers.0.attention.masked_bias", DType::kF32, {1}, {}});
    Weights(tensors);
    const std::string said = prefix.empty() ? "lack \"gpt_neox.\"" : "begin with \"" + prefix + "\"";
    EXPECT_THAT(WarningsOf(model_), ElementsAre(HasSubstr(said)));
  }
}

TEST_F(ModelFolderTest, BareModelHasNoOutputMatrix) {
  ModelConfig config = TinyConfig();
  auto tensors = TinyTensors(config);
  tensors.pop_back();
  for (TinyTensor& tensor : tensors) tensor.name.erase(0, 9);
  Weights(tensors);
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("the output matrix is missing"), HasSubstr("GPTNeoXForCausalLM")));
  config.tie_word_embeddings = true;
  WriteTextFileAtomically(model_ / "config.json", WriteConfig(config, DType::kF32));
  EXPECT_EQ(Refusal(model_), "");
}

TEST_F(ModelFolderTest, StateOfDeepSpeedIsNamed) {
  fs::remove(model_ / "model.safetensors");
  WriteTextFileAtomically(model_ / "latest", "global_step10");
  fs::create_directory(model_ / "global_step10");
  EXPECT_THAT(Refusal(model_),
              AllOf(HasSubstr("DeepSpeed"), HasSubstr("global_step10/"), HasSubstr("zero_to_fp32.py")));
  fs::remove(model_ / "config.json");
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("no config.json"), HasSubstr("DeepSpeed")));
}

TEST_F(ModelFolderTest, LinksWithoutTarget) {
  for (const char* name : {"model.safetensors", "config.json", "pytorch_model.bin"}) {
    fs::remove(model_ / "model.safetensors");
    fs::remove(model_ / name);
    fs::create_symlink("../../blobs/0123", model_ / name);
    EXPECT_THAT(Refusal(model_), AllOf(HasSubstr(name + std::string(": this is a link to \"../../blobs/0123\"")),
                                       HasSubstr("does not exist"), HasSubstr("cp -rL")));
    fs::remove(model_ / name);
    WriteTinyModel(model_);
  }
  fs::create_symlink("gone", model_ / "tokenizer.json");
  EXPECT_TRUE(ModelFolder::Open(model_.string())->source().HasTokenizer());
  EXPECT_THAT(ErrorText([&] { ModelFolder::Open(model_.string())->source().ReadTokenizer(); }), HasSubstr("\"gone\""));
  fs::create_symlink("loop", temp_.path() / "loop");
  EXPECT_THAT(Refusal(temp_.path() / "loop"), HasSubstr("leads back to itself"));
  fs::create_symlink("nowhere", temp_.path() / "link");
  EXPECT_THAT(Refusal(temp_.path() / "link"), HasSubstr("\"nowhere\""));
}

// transformers passes over weights that are no files, too.
TEST_F(ModelFolderTest, WeightsThatAreNoFileAreLeftAsideForOthers) {
  const fs::path weights = model_ / "model.safetensors";
  fs::create_symlink("../../blobs/0123", model_ / "pytorch_model.bin");
  EXPECT_THAT(WarningsOf(model_), IsEmpty());  // not looked at
  fs::remove(weights);
  fs::create_directory(weights);
  EXPECT_THAT(InfoOf([&] { ModelFolder::Open(model_.string()); }), Names(weights.string(), "a folder"));
  Shards();
  fs::create_directory(weights);
  EXPECT_THAT(WarningsOf(model_),
              ElementsAre(AllOf(HasSubstr(weights.string() + ": no file"), HasSubstr("left aside"))));
  fs::remove(weights);
  fs::create_symlink("gone", weights);
  EXPECT_THAT(WarningsOf(model_),
              ElementsAre(AllOf(HasSubstr(weights.string() + ": a link"), HasSubstr("left aside"))));
  EXPECT_EQ(ModelFolder::Open(model_.string())->files().size(), 2u);
}

TEST_F(ModelFolderTest, TheTokenizerMustBeAFile) {
  fs::create_directory(model_ / "tokenizer.json");
  const auto source = ModelSource::Open(model_.string());
  EXPECT_TRUE(source->HasTokenizer());
  EXPECT_THAT(InfoOf([&] { source->ReadTokenizer(); }), Names((model_ / "tokenizer.json").string(), "a folder"));
  fs::remove(model_ / "tokenizer.json");
  ASSERT_EQ(mkfifo((model_ / "tokenizer.json").c_str(), 0600), 0);
  EXPECT_THAT(InfoOf([&] { source->ReadTokenizer(); }), Names((model_ / "tokenizer.json").string(), HasSubstr("pipe")));
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
  EXPECT_THAT(WarningsOf(model_), ElementsAre(HasSubstr("is a copy of")));
  tensors.back().values.assign(80, 0.5f);
  Weights(tensors);
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("for one place"), HasSubstr("lm_head.weight")));
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

TEST_F(ModelFolderTest, ShardsInFoldersBelow) {
  Shards([&](nlohmann::json& index) {
    fs::create_directories(model_ / "a/b");
    fs::rename(model_ / "s1.safetensors", model_ / "a/s1.safetensors");
    fs::rename(model_ / "s2.safetensors", model_ / "a/b/s2.safetensors");
    for (auto& [tensor, file] : index["weight_map"].items())
      file = file == "s1.safetensors" ? "a/s1.safetensors" : "./a/b/s2.safetensors";
  });
  const auto model = ModelFolder::Open(model_.string());
  EXPECT_THAT(model->warnings(), IsEmpty());
  EXPECT_EQ(model->files()[0].name, "a/b/s2.safetensors");
}

TEST_F(ModelFolderTest, ShardMissing) {
  Shards();
  fs::remove(model_ / "s2.safetensors");
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("files of the checkpoint are missing"), HasSubstr("s2.safetensors")));
}

TEST_F(ModelFolderTest, IndexNamesATensorThatIsNotThere) {
  Shards([](nlohmann::json& index) {
    index["weight_map"]["x"] = "s1.safetensors";
    index["weight_map"]["gpt_neox.layers.0.attention.bias"] = "s1.safetensors";  // a buffer that nobody uses
  });
  EXPECT_THAT(WarningsOf(model_), ElementsAre(AllOf(HasSubstr("names tensors that its files do not hold: \"x\""),
                                                    Not(HasSubstr("attention.bias")))));
  auto all = TinyTensors(TinyConfig());
  all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2));
  all.pop_back();
  WriteTinySafetensors(model_ / "s2.safetensors", all);
  EXPECT_THAT(Refusal(model_), HasSubstr("\"embed_out.weight\""));
}

TEST_F(ModelFolderTest, IndexLeavesATensorOut) {
  Shards([](nlohmann::json& index) { index["weight_map"].erase("embed_out.weight"); });
  EXPECT_THAT(WarningsOf(model_),
              ElementsAre(HasSubstr("does not name tensors that its files hold: \"embed_out.weight\"")));
}

TEST_F(ModelFolderTest, IndexPutsATensorInAnotherFile) {
  Shards([](nlohmann::json& index) { index["weight_map"]["embed_out.weight"] = "s1.safetensors"; });
  EXPECT_THAT(WarningsOf(model_), ElementsAre(HasSubstr("into another file")));
}

TEST_F(ModelFolderTest, SameTensorInTwoShards) {
  Shards();
  auto all = TinyTensors(TinyConfig());
  const auto half = static_cast<std::ptrdiff_t>(all.size() / 2);
  std::vector<TinyTensor> second(all.begin() + half, all.end());
  second.push_back(all[0]);
  WriteTinySafetensors(model_ / "s2.safetensors", second);
  EXPECT_THAT(WarningsOf(model_), ElementsAre(HasSubstr("another file"), HasSubstr("is a copy of")));
  second.back().values.assign(80, 0.5f);
  WriteTinySafetensors(model_ / "s2.safetensors", second);
  EXPECT_THAT(Refusal(model_), AllOf(HasSubstr("\"gpt_neox.embed_in.weight\" appears twice"),
                                     HasSubstr("s1.safetensors and s2.safetensors")));
}

// That of transformers.
TEST_F(ModelFolderTest, OrderOfPreference) {
  Shards();
  WriteTextFileAtomically(model_ / "pytorch_model.bin", "never opened");
  WriteTextFileAtomically(model_ / "training_args.bin", "never opened");
  EXPECT_EQ(ModelFolder::Open(model_.string())->files().size(), 2u);
  Weights(TinyTensors(TinyConfig()));
  EXPECT_EQ(ModelFolder::Open(model_.string())->files().size(), 1u);
  EXPECT_THAT(WarningsOf(model_),
              ElementsAre(HasSubstr("index.json: left aside, because model.safetensors lies beside it")));
  fs::remove(model_ / "model.safetensors");
  fs::remove(model_ / "model.safetensors.index.json");
  WriteTextFileAtomically(model_ / "pytorch_model.bin.index.json", "never opened");
  EXPECT_THAT(Refusal(model_), HasSubstr("pytorch_model.bin: "));
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
  for (const char* name :
       {"", ".", "..", "../a", "a/../../b", "a/..", "/etc/passwd", "a/", "./", "a\\\\b", "C:a", "a\\u0000b", "a\\nb"}) {
    EXPECT_THAT(refusal(std::string(R"({"weight_map":{"x":")") + name + "\"}}"), HasSubstr("not in the folder"))
        << name;
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
  for (const char* url : {"https://huggingface.co/a/b", "https://huggingface.co/a/b/", "https://huggingface.co/a/b.git",
                          "http://hf.co/a/b?x=1#y", "hf.co/a/b", "https://huggingface.co/a/b/tree/main",
                          "huggingface.co/a/b/blob/main/config.json", "hf://a/b", "hf://models/a/b@main", "HF://a/b/",
                          "HTTPS://HuggingFace.co/a/b", "Http://HF.CO/a/b", "a/b/", "a/b//", "a/b@main/"}) {
    ASSERT_TRUE(ParseHubId(url)) << url;
    EXPECT_EQ(ParseHubId(url)->org + "/" + ParseHubId(url)->name + "@" + ParseHubId(url)->revision, "a/b@main") << url;
  }
  EXPECT_EQ(ParseHubId("https://huggingface.co/a/b/resolve/v2/model.safetensors")->revision, "v2");
  EXPECT_EQ(ParseHubId("https://huggingface.co/a/b/blob/main/q/m.gguf")->file, "q/m.gguf");
  EXPECT_EQ(ParseHubId("https://huggingface.co/a/b/blob/main/../m.gguf")->file, "");
  EXPECT_EQ(ParseHubId("hf://a/b@v2/q/m.gguf")->file, "q/m.gguf");
  EXPECT_EQ(ParseHubId("hf://a/b@v2/q/m.gguf")->revision, "v2");
  EXPECT_EQ(ParseHubId("hf://a/b/../m.gguf")->file, "");
  for (const char* text : {"hf://", "hf://a", "hf://datasets/a/b", "hf://hf://a/b"}) {
    EXPECT_FALSE(ParseHubId(text)) << text;
  }
  EXPECT_EQ(OtherHubPage("hf://datasets/a/b"), "a data set");
  EXPECT_FALSE(ParseHubId("https://huggingface.co/a"));
  EXPECT_FALSE(ParseHubId("https://huggingface.co/datasets/a/b"));
  EXPECT_EQ(OtherHubPage("https://HuggingFace.co/datasets/a/b"), "a data set");
  EXPECT_EQ(OtherHubPage("huggingface.co/spaces/a/b"), "a Space");
  for (const char* text : {"datasets/b", "https://huggingface.co/a/datasets", "https://example.org/datasets/a/b"}) {
    EXPECT_EQ(OtherHubPage(text), "") << text;
  }
  EXPECT_FALSE(ParseHubId("https://example.org/a/b"));
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
  EXPECT_THAT(Refusal("stabilityai/tiny"),
              AllOf(HasSubstr("model.safetensors: this is a link to \"../../blobs/gone\""), HasSubstr("cp -rL")));
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

TEST_F(HubCacheTest, AddressOfADataSet) {
  EXPECT_THAT(Refusal("https://huggingface.co/datasets/a/b"), HasSubstr("a data set"));
}

// A loop of links stands for a folder that may not be read, which root may.
TEST_F(HubCacheTest, CacheThatCannotBeReadIsNamed) {
  fs::create_symlink("hub", hub_);
  EXPECT_THAT(InfoOf([] { ModelFolder::Open("stabilityai/tiny"); }), Names(hub_.string()));
  fs::remove(hub_);
  fs::create_directories(repository_);
  fs::create_symlink("snapshots", repository_ / "snapshots");
  EXPECT_THAT(InfoOf([] { ModelFolder::Open("stabilityai/tiny"); }), Names((repository_ / "snapshots").string()));
}

TEST_F(HubCacheTest, RepositoryFolderItself) {
  WriteTinyModel(Snapshot(kCommit));
  EXPECT_EQ(ModelFolder::Open(repository_.string())->path(), Snapshot(kCommit));
  EXPECT_EQ(ModelFolder::Open(repository_.string() + "/")->path(), Snapshot(kCommit));
  WriteTinyModel(Snapshot(std::string(40, 'd')));
  EXPECT_THAT(Refusal(repository_), HasSubstr("\"main\" is not in the cache"));
  fs::rename(repository_, hub_ / "copy");
  EXPECT_THAT(Refusal(hub_ / "copy"), HasSubstr("repository of the Hugging Face cache"));
}

TEST_F(HubCacheTest, PlaceOfTheCache) {
  setenv("HF_HOME", "/h", 1);
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(HubCacheFolder(), hub_);
  unsetenv("HF_HUB_CACHE");
  EXPECT_EQ(HubCacheFolder(), "/h/hub");
  setenv("HF_HOME", "$XDG_CACHE_HOME/${NOT_SET}/h", 1);
  EXPECT_EQ(HubCacheFolder(), "/x/${NOT_SET}/h/hub");
  setenv("HF_HOME", "~/h", 1);
  EXPECT_EQ(HubCacheFolder(), fs::path(std::getenv("HOME")) / "h/hub");
  unsetenv("HF_HOME");
  EXPECT_EQ(HubCacheFolder(), "/x/huggingface/hub");
  unsetenv("XDG_CACHE_HOME");
  EXPECT_THAT(HubCacheFolder().string(), testing::EndsWith(".cache/huggingface/hub"));
  const std::string home = std::getenv("HOME");
  unsetenv("HOME");
  EXPECT_THAT(HubCacheFolder().string(),
              testing::MatchesRegex("/.*/.cache/huggingface/hub"));  // the user's, by the system
  setenv("HOME", home.c_str(), 1);
}

}  // namespace
}  // namespace stablelm
