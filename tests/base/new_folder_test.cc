#include "base/new_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::set<std::string> NamesIn(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

TEST(TemporaryPaths, LeftoversOfAFolderAndWholeRemoval) {
  const TempFolder temp;
  const std::filesystem::path kept = temp.path() / "step-1", removed = temp.path() / "step-2";
  for (const auto& folder : {kept, removed, temp.path() / "step-3.stablelm.tmp.abc123"}) {
    std::filesystem::create_directory(folder);
    std::ofstream(folder / "a") << "x";
  }
  const NewFolder owned(temp.path() / "step-4");
  RemoveLeftovers(temp.path());
  EXPECT_THAT(NamesIn(temp.path()), UnorderedElementsAre("step-1", "step-2", owned.path().filename().string()));
  RemoveWholeFolder(removed);
  RemoveWholeFolder(temp.path() / "none");
  EXPECT_THAT(NamesIn(temp.path()), UnorderedElementsAre("step-1", owned.path().filename().string()));
}

TEST(NewFolder, WholeOrNotThere) {
  const TempFolder temp;
  const std::filesystem::path out = temp.path() / "out", like = temp.path() / "like";
  {
    const NewFolder half(out);
    std::ofstream(half.path() / "a") << "x";
  }
  EXPECT_THAT(NamesIn(temp.path()), IsEmpty());
  for (const std::string slash : {"", "/"}) {
    NewFolder folder(out.string() + slash);
    EXPECT_EQ(folder.target(), out);
    std::ofstream(folder.path() / "a") << "x";
    EXPECT_FALSE(std::filesystem::exists(out));
    folder.Commit();
    EXPECT_THAT(NamesIn(out), UnorderedElementsAre("a"));
    std::filesystem::create_directory(like);
    EXPECT_EQ(std::filesystem::status(out).permissions(), std::filesystem::status(like).permissions());
    std::filesystem::remove_all(out);
    std::filesystem::remove(like);
  }
}

TEST(NewFolder, ReplacesAnEmptyFolderAlone) {
  const TempFolder temp;
  const auto refused = [&](const std::string& name) {
    return InfoOf([&] { const NewFolder out(temp.path() / name); });
  };
  std::ofstream(temp.path() / "file") << "x";
  std::filesystem::create_directory(temp.path() / "full");
  std::ofstream(temp.path() / "full/a") << "x";
  std::filesystem::create_symlink("nowhere", temp.path() / "link");
  for (const std::string name : {"file", "full", "link"}) {
    EXPECT_THAT(refused(name), Names((temp.path() / name).string()));
  }
  EXPECT_THAT(refused("none/out").hint, HasSubstr((temp.path() / "none").string()));
  std::filesystem::create_directory(temp.path() / "empty");
  NewFolder folder(temp.path() / "empty");
  std::ofstream(folder.path() / "b") << "x";
  folder.Commit();
  EXPECT_THAT(NamesIn(temp.path() / "empty"), UnorderedElementsAre("b"));
}

TEST(NewFolder, OneMissingParentIsMadeOnRequest) {
  const TempFolder temp;
  MakeParentFolder(temp.path() / "a/b/out");  // two are missing
  EXPECT_THAT(NamesIn(temp.path()), IsEmpty());
  MakeParentFolder(temp.path() / "a/out/");
  MakeParentFolder(temp.path() / "a/out");
  MakeParentFolder("out");
  EXPECT_THAT(NamesIn(temp.path()), UnorderedElementsAre("a"));
  EXPECT_THAT(NamesIn(temp.path() / "a"), IsEmpty());
}

TEST(NewFolder, WhatAppearsMeanwhileIsNotReplaced) {
  const TempFolder temp;
  const std::filesystem::path out = temp.path() / "out";
  NewFolder first(out), second(out);
  std::ofstream(first.path() / "first") << "x";
  std::ofstream(second.path() / "second") << "x";
  first.Commit();
  EXPECT_THAT(InfoOf([&] { second.Commit(); }).hint, HasSubstr(out.string() + ".new"));
  EXPECT_THAT(NamesIn(temp.path()), UnorderedElementsAre("out", "out.new"));
  EXPECT_THAT(NamesIn(out), UnorderedElementsAre("first"));
}

}  // namespace
}  // namespace stablelm
