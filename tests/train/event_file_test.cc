// The bytes of an event file: frames with checksums, and in them the messages that TensorBoard's readers know.
// scripts/check_tensorboard.py reads a run's files with the package itself.
#include "train/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/crc32c.h"
#include "base/mapped_file.h"
#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The payloads of the records, each checksum checked.
std::vector<std::string> RecordsOf(const std::filesystem::path& file) {
  const std::string bytes = ReadTextFile(file, 1 << 20);
  const auto number = [&](size_t at, size_t size) {
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, size);
    return value;
  };
  const auto masked = [](std::string_view text) {
    const uint32_t crc = Crc32c(text);
    return static_cast<uint32_t>(((crc >> 15) | (crc << 17)) + 0xa282ead8u);
  };
  std::vector<std::string> records;
  for (size_t at = 0; at < bytes.size();) {
    const uint64_t length = number(at, 8);
    EXPECT_EQ(number(at + 8, 4), masked(std::string_view(bytes).substr(at, 8)));
    records.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(number(at + 12 + length, 4), masked(records.back()));
    at += 16 + length;
  }
  return records;
}

TEST(EventFile, WritesScalarsOfSteps) {
  const TempFolder folder;
  std::filesystem::path path;
  {
    EventFile file(folder.path(), 1);
    path = file.path();
    file.Append(300, 2.0, std::vector<EventScalar>{{"a", 1.0}, {"bc", -0.5}});
  }
  EXPECT_EQ(path.filename(), "events.out.tfevents.000001.stablelm");
  const std::vector<std::string> records = RecordsOf(path);
  ASSERT_EQ(records.size(), 3u);
  // Field 1 of an event, its time, is a double: key 9; field 2, the step, a number: key 0x10.
  EXPECT_EQ(records[0].substr(9), std::string("\x10\x00\x1a\x0d", 4) + "brain.Event:2");
  EXPECT_EQ(records[1].substr(9), std::string("\x10\x01\x3a\x02\x08\x01"));  // a session starts at step 1
  EXPECT_EQ(records[2], std::string("\x09\0\0\0\0\0\0\0\x40"
                                    "\x10\xac\x02"       // step 300
                                    "\x2a\x15"           // field 5: the summary
                                    "\x0a\x08\x0a\x01"   // a value with a tag
                                    "a\x15\0\0\x80\x3f"  // 1.0
                                    "\x0a\x09\x0a\x02"
                                    "bc\x15\0\0\0\xbf",
                                    9 + 3 + 2 + 10 + 11));
}

TEST(EventFile, EveryStartHasItsOwnFileWithTheStepThatItBeginsAt) {
  const TempFolder folder;
  { const EventFile first(folder.path(), 1); }
  const EventFile second(folder.path(), 51);
  EXPECT_EQ(second.path().filename(), "events.out.tfevents.000002.stablelm");
  EXPECT_EQ(RecordsOf(second.path())[1].substr(9), std::string("\x10\x33\x3a\x02\x08\x01"));
}

TEST(EventFile, AFolderThatIsNotThereIsAnError) {
  const TempFolder folder;
  EXPECT_THAT(InfoOf([&] { const EventFile file(folder.path() / "none", 1); }), Names(HasSubstr("none")));
}

}  // namespace
}  // namespace stablelm
