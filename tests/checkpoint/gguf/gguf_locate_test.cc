// Finds the GGUF file of a model by what files hold, not by what they are called.
#include "checkpoint/gguf/gguf_locate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "checkpoint/gguf/gguf_testing.h"
#include "checkpoint/tiny_model.h"
#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class LocateGguf : public testing::Test {
 protected:
  LocateGguf() {
    WriteTinyModel(tiny_);
    WriteGgufOf(tiny_, model_);
    fs::create_directory(folder_);
  }
  void Add(const std::string& name) const { fs::copy_file(model_, folder_ / name); }
  // A GGUF file without tensors.
  void AddOther(const std::string& name, const std::string& type) const {
    GgufMetadata metadata;
    if (!type.empty()) metadata.SetText("general.type", type);
    GgufWriter(folder_ / name, metadata, {}).Commit();
  }
  static fs::path Opened(const fs::path& path) { return ModelFolder::Open(path.string())->path(); }
  ErrorInfo Refusal() const {
    return InfoOf([&] { Opened(folder_); });
  }

  const TempFolder temp_;
  const fs::path tiny_ = temp_.path() / "tiny", model_ = temp_.path() / "model.gguf", folder_ = temp_.path() / "folder";
};

TEST_F(LocateGguf, AFileIsKnownByItsFirstBytes) {
  for (const char* name : {"MODEL.GGUF", "sha256-0123abcd", "model.bin", "model"}) {
    Add(name);
    EXPECT_TRUE(HasGgufMagic(folder_ / name));
    EXPECT_EQ(Opened(folder_ / name), folder_ / name);
  }
  for (const char* old : {"lmgg", "fmgg", "tjgg", "algg"}) {
    const fs::path file = folder_ / "ggml-model-q4_0.bin";
    WriteTextFileAtomically(file, std::string(old) + "0123456789");
    EXPECT_TRUE(HasGgufMagic(file));
    EXPECT_THAT(InfoOf([&] { Opened(file); }), Names(file.string() + ": the magic (byte 0)", Quoted(old)));
  }
  WriteTextFileAtomically(folder_ / "weights.bin", "no model");
  EXPECT_THAT(InfoOf([&] { Opened(folder_ / "weights.bin"); }),
              AllOf(Names((folder_ / "weights.bin").string()), testing::Field(&ErrorInfo::hint, HasSubstr("folder"))));
  for (const char* text : {"", "GGU"}) {
    WriteTextFileAtomically(folder_ / "short", text);
    EXPECT_FALSE(HasGgufMagic(folder_ / "short"));
  }
  EXPECT_FALSE(HasGgufMagic(folder_));
  EXPECT_FALSE(HasGgufMagic(folder_ / "none"));
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_FALSE(HasGgufMagic(folder_ / "pipe"));  // and nobody waits for a writer
  EXPECT_THAT(InfoOf([&] { Opened(folder_ / "none.gguf"); }), Names((folder_ / "none.gguf").string()));
}

TEST_F(LocateGguf, TheEndingMayBeOfAnyCase) {
  for (const char* name : {"a.gguf", "a.GGUF", "a.Gguf"}) EXPECT_TRUE(IsGgufPath(name)) << name;
  for (const char* name : {"a", "gguf", "a.gguf.part", "a.ggufx", "a.ggu"}) EXPECT_FALSE(IsGgufPath(name)) << name;
}

TEST_F(LocateGguf, MayBeTheOneFileOfAFolder) {
  EXPECT_EQ(FindGgufModel(folder_), std::nullopt);
  Add("a.GGUF");
  EXPECT_EQ(Opened(folder_), folder_ / "a.GGUF");
  fs::copy_file(tiny_ / "config.json", folder_ / "config.json");  // as in some repositories
  EXPECT_EQ(Opened(folder_), folder_ / "a.GGUF");
  fs::copy_file(tiny_ / "model.safetensors", folder_ / "model.safetensors");
  EXPECT_EQ(Opened(folder_), folder_);
}

// The store of another program, which names files by their hash.
TEST_F(LocateGguf, MayBeTheOneFileOfAFolderWithoutAnEnding) {
  Add("sha256-0123abcd");
  WriteTextFileAtomically(folder_ / "sha256-4567cdef", "{}");
  EXPECT_EQ(Opened(folder_), folder_ / "sha256-0123abcd");
  Add("model.gguf");
  EXPECT_EQ(Opened(folder_), folder_ / "model.gguf");
}

TEST_F(LocateGguf, OtherGgufFilesBesideTheModelAreNotTaken) {
  AddOther("a-imatrix.gguf", "imatrix");
  AddOther("b-adapter.gguf", "adapter");
  AddOther("c-vocabulary.gguf", "");
  Add("model.gguf");
  EXPECT_EQ(Opened(folder_), folder_ / "model.gguf");
  fs::copy_file(tiny_ / "config.json", folder_ / "config.json");
  EXPECT_EQ(Opened(folder_), folder_ / "model.gguf");
}

TEST_F(LocateGguf, SeveralModelsAreNamed) {
  AddOther("a-imatrix.gguf", "imatrix");
  Add("b.gguf");
  WriteTextFileAtomically(folder_ / "broken.gguf", "GGUF");  // whoever means this one is told what is wrong with it
  Add("c.gguf");
  EXPECT_THAT(Refusal(), AllOf(Names(folder_.string(), "b.gguf, broken.gguf (cannot be read), c.gguf"),
                               testing::Field(&ErrorInfo::hint, HasSubstr((folder_ / "b.gguf").string()))));
  // A folder with a config.json may be used without weights; who needs these is told the same.
  fs::copy_file(tiny_ / "config.json", folder_ / "config.json");
  EXPECT_EQ(FindGgufModel(folder_), std::nullopt);
  EXPECT_THAT(Refusal(), Names(folder_.string(), "b.gguf, broken.gguf (cannot be read), c.gguf"));
}

// As a clone without LFS leaves them.
TEST_F(LocateGguf, AGitLfsPointerIsNoModel) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, '0') + "\nsize 137\n";
  WriteTextFileAtomically(folder_ / "a.gguf", pointer);
  WriteTextFileAtomically(folder_ / "b.gguf", pointer);
  EXPECT_THAT(Refusal(), AllOf(Names(folder_.string(), "a.gguf (a Git LFS pointer), b.gguf (a Git LFS pointer)"),
                               testing::Field(&ErrorInfo::hint, HasSubstr("git lfs pull"))));
  Add("c.gguf");
  EXPECT_EQ(Opened(folder_), folder_ / "c.gguf");
  WriteTextFileAtomically(folder_ / "aa.gguf", "GGUF");
  Add("d.gguf");
  EXPECT_THAT(Refusal().hint, HasSubstr((folder_ / "c.gguf").string()));  // one that can be read
}

TEST_F(LocateGguf, AFolderWithoutAModelSaysWhatItHas) {
  AddOther("imatrix.gguf", "imatrix");
  EXPECT_THAT(Refusal(), Names(HasSubstr((folder_ / "imatrix.gguf").string()), "\"imatrix\""));
  AddOther("vocabulary.gguf", "");
  EXPECT_THAT(Refusal(), Names(folder_.string(), "imatrix.gguf (imatrix), vocabulary.gguf (no weights)"));
}

TEST_F(LocateGguf, ThePartsOfOneModelAreOneModel) {
  const std::vector<fs::path> parts = WriteGgufParts(model_, folder_, "whole", 3);
  AddOther("imatrix.gguf", "imatrix");
  EXPECT_EQ(Opened(folder_), parts[0]);
  Add("z.gguf");
  EXPECT_THAT(Refusal(), Names(folder_.string(), "whole-00001-of-00003.gguf, z.gguf"));
  fs::remove(folder_ / "z.gguf");
  fs::remove(parts[0]);
  EXPECT_THAT(Refusal(),
              AllOf(Names(HasSubstr(parts[1].string()), "part 2 of 3"),
                    testing::Field(&ErrorInfo::hint, AllOf(HasSubstr(parts[0].string()), HasSubstr("missing")))));
}

}  // namespace
}  // namespace stablelm
