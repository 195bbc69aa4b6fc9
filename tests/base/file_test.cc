#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

TEST(AtomicFile, WholeOrNotThere) {
  const TempFolder folder;
  const auto path = folder.path() / "a.txt";
  WriteTextFileAtomically(path, "first");
  {
    AtomicFile file(path, 1 << 16);
    file.Write("half");
  }
  EXPECT_EQ(ReadTextFile(path, 100), "first");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  WriteTextFileAtomically(path, "second");
  EXPECT_EQ(MappedFile(path).text(), "second");
  EXPECT_THAT(InfoOf([&] { ReadTextFile(path, 3); }), Names(path.string(), "6 bytes"));
  const auto nowhere = folder.path() / "missing" / "b";
  EXPECT_THAT(InfoOf([&] { AtomicFile file(nowhere); }), Names(nowhere.string()));
}

TEST(AtomicFile, SaysWhyItCannotBeCreated) {
  const TempFolder folder;
  const auto hint = [](const std::filesystem::path& path) -> std::string {
    try {
      AtomicFile file(path);
    } catch (const Error& e) {
      return e.info().hint;
    }
    return "created";
  };
  EXPECT_THAT(hint(folder.path() / "missing" / "b"), testing::HasSubstr("the folder does not exist"));
  EXPECT_THAT(hint("/proc/b"), testing::HasSubstr("files cannot be created in that folder"));
}

TEST(MappedFile, EmptyFolderMissing) {
  const TempFolder folder;
  WriteTextFileAtomically(folder.path() / "empty", "");
  EXPECT_EQ(MappedFile(folder.path() / "empty").size(), 0u);
  EXPECT_THAT(InfoOf([&] { MappedFile file(folder.path()); }), Names(folder.path().string(), "a folder"));
  const auto none = folder.path() / "none";
  EXPECT_THAT(InfoOf([&] { MappedFile file(none); }), Names(none.string()));
}

TEST(MappedFile, ReleasedPagesReadAgain) {
  const TempFolder folder;
  const std::string text(100000, 'x');
  WriteTextFileAtomically(folder.path() / "f", text);
  const MappedFile file(folder.path() / "f");
  file.Release(10, 99990);
  EXPECT_EQ(file.text(), text);
}

TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const TempFolder folder;
  WriteTextFileAtomically(folder.path() / "f", "abc");
  EXPECT_EQ(Sha256HexOfFile(folder.path() / "f"), Sha256Hex("abc"));
}

}  // namespace
}  // namespace stablelm
