#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "base/temporary_paths.h"
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
  EXPECT_THAT(hint(folder.path() / "missing" / "b"), testing::HasSubstr("missing\" does not exist"));
  EXPECT_THAT(hint("/proc/b"), testing::HasSubstr("files cannot be created in that folder"));
}

// A run that was killed cannot remove its files: the lock tells them from those of a run that lives.
TEST(TemporaryPath, RemovesWhatKilledRunsLeft) {
  const TempFolder folder;
  const auto path = folder.path() / "a.gguf";
  const auto left = folder.path() / "a.gguf.stablelm.tmp.AbC123",
             left_folder = folder.path() / "a.gguf.stablelm.tmp.x_x_x1";
  const auto others = folder.path() / "a.gguf.tmp.AbC123", longer = folder.path() / "a.gguf.stablelm.tmp.AbC1234";
  for (const auto& file : {left, others, longer}) std::ofstream(file) << "x";
  std::filesystem::create_directory(left_folder);
  std::ofstream(left_folder / "model.safetensors") << "x";
  const TemporaryPath alive(path, TemporaryPath::Kind::kFolder);
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_FALSE(std::filesystem::exists(left_folder));
  const AtomicFile second(path);
  for (const auto& file : {alive.path(), second.temporary(), others, longer}) {
    EXPECT_TRUE(std::filesystem::exists(file)) << file;
  }
}

TEST(TemporaryPath, SignalHandlersFindAll) {
  const TempFolder folder;
  TemporaryPath kept(folder.path() / "kept", TemporaryPath::Kind::kFile);
  EXPECT_EQ(kept.MoveTo(folder.path() / "kept", false), 0);
  const TemporaryPath file(folder.path() / "a", TemporaryPath::Kind::kFile);
  const TemporaryPath many(folder.path() / "b", TemporaryPath::Kind::kFolder);
  for (int i = 0; i < 200; ++i) std::ofstream(many.path() / ("a name of some length " + std::to_string(i))) << "x";
  RemoveTemporaryPaths();
  std::vector<std::string> rest;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) rest.push_back(entry.path().filename());
  EXPECT_THAT(rest, testing::ElementsAre("kept"));
}

TEST(AtomicFile, WhatAppearsMeanwhileIsNotReplaced) {
  const TempFolder folder;
  const auto path = folder.path() / "a";
  AtomicFile file(path);
  file.Write("mine");
  std::ofstream(path) << "yours";
  EXPECT_THAT(InfoOf([&] { file.Commit(); }), Names(path.string()));
  EXPECT_EQ(ReadTextFile(path, 100), "yours");
  EXPECT_EQ(ReadTextFile(folder.path() / "a.new", 100), "mine");
  AtomicFile again(folder.path() / "a", 0, false);  // a new file, whatever is there at the start
  again.Write("mine again");
  EXPECT_THAT(InfoOf([&] { again.Commit(); }).hint, testing::HasSubstr("a.new2"));
  EXPECT_EQ(ReadTextFile(folder.path() / "a.new2", 100), "mine again");
}

// A file's name may have 255 bytes; that of the temporary one is longer.
TEST(AtomicFile, LongNames) {
  const TempFolder folder;
  const auto path = folder.path() / std::string(255, 'n');
  WriteTextFileAtomically(path, "x");
  EXPECT_EQ(ReadTextFile(path, 10), "x");
}

TEST(MappedFile, APipeIsNotWaitedFor) {
  const TempFolder folder;
  const auto path = folder.path() / "pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(InfoOf([&] { MappedFile file(path); }), Names(path.string(), "a device, pipe or socket"));
}

// File systems that refuse shared maps.
TEST(MappedFile, EveryAccessGivesTheSameBytes) {
  const TempFolder folder;
  const std::string text(100001, 'x');
  WriteTextFileAtomically(folder.path() / "f", text);
  for (const FileAccess access : {FileAccess::kShared, FileAccess::kPrivate, FileAccess::kRead}) {
    MappedFile file(folder.path() / "f", access);
    EXPECT_EQ(file.access(), access);
    file.WillNeed(0, 5000);
    file.Release(0, text.size());
    EXPECT_EQ(file.text(), text);
    const MappedFile moved = std::move(file);
    const char* path = MappedFile::PathAt(moved.bytes().data() + 70000);
    EXPECT_EQ(path ? path : "", access == FileAccess::kRead ? "" : (folder.path() / "f").string());
  }
  EXPECT_EQ(MappedFile::PathAt(&text), nullptr);
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
