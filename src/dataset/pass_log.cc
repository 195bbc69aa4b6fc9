#include "dataset/pass_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "base/stopwatch.h"
#include "base/write_error.h"

namespace stablelm {
namespace {

constexpr std::string_view kMagic = "SLMPASS1";
constexpr size_t kHeaderBytes = kMagic.size() + sizeof(ContentKey);
constexpr uint64_t kMostBlockBytes = uint64_t{4} << 30;

struct BlockHead {
  uint64_t size = 0;
  ContentKey hash;
};
static_assert(sizeof(BlockHead) == 24);

ContentKey HashOfBlock(const ContentKey& before, std::string_view content) {
  const ContentKey inner = Hash128(content);
  char both[2 * sizeof(ContentKey)];
  std::memcpy(both, &before, sizeof before);
  std::memcpy(both + sizeof before, &inner, sizeof inner);
  return Hash128({both, sizeof both});
}

template <typename T>
requires std::is_trivially_copyable_v<T>
void Put(const T& value, std::string& out) { out.append(reinterpret_cast<const char*>(&value), sizeof value); }

// A count, then the values.
template <typename T>
void PutAll(const T* values, size_t count, std::string& out) {
  Put(uint64_t{count}, out);
  if (count > 0) out.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

void PutText(std::string_view text, std::string& out) { PutAll(text.data(), text.size(), out); }

// Takes values from the front; false once they do not fit.
class Taker {
 public:
  explicit Taker(std::string_view& left) : left_(left) {}
  template <typename T>
  requires std::is_trivially_copyable_v<T> Taker& Get(T& value) {
    if (good_ && left_.size() >= sizeof value) {
      std::memcpy(&value, left_.data(), sizeof value);
      left_.remove_prefix(sizeof value);
    } else {
      good_ = false;
    }
    return *this;
  }
  template <typename List>
  Taker& GetAll(List& list) {
    uint64_t count = 0;
    Get(count);
    using T = typename List::value_type;
    if (!good_ || count > left_.size() / sizeof(T)) {
      good_ = false;
      return *this;
    }
    list.resize(static_cast<size_t>(count));
    if (count > 0) std::memcpy(list.data(), left_.data(), list.size() * sizeof(T));
    left_.remove_prefix(list.size() * sizeof(T));
    return *this;
  }
  bool good() const { return good_; }

 private:
  std::string_view& left_;
  bool good_ = true;
};

void PutConversation(const PassedConversation& one, std::string& out) {
  PutText(one.reason, out);
  PutText(one.words, out);
  Put(one.tokens, out);
  if (!one.reason.empty()) return;
  PutAll(one.samples.sizes.data(), one.samples.sizes.size(), out);
  PutAll(one.samples.bytes.data(), one.samples.bytes.size(), out);
  Put(one.control_spellings, out);
  Put(one.open_answers, out);
  Put(static_cast<uint8_t>((one.checked ? 1 : 0) | (one.changed ? 2 : 0)), out);
  Put(one.split_hash, out);
  Put(one.key, out);
  PutAll(one.prompts.data(), one.prompts.size(), out);
  PutAll(one.near.shingles.data(), one.near.shingles.size(), out);
  if (!one.near.shingles.empty()) Put(one.near.bands, out);
}

void GetConversation(Taker& from, PassedConversation& one) {
  from.GetAll(one.reason).GetAll(one.words).Get(one.tokens);
  if (!one.reason.empty()) return;
  uint8_t flags = 0;
  from.GetAll(one.samples.sizes).GetAll(one.samples.bytes).Get(one.control_spellings).Get(one.open_answers);
  from.Get(flags).Get(one.split_hash).Get(one.key).GetAll(one.prompts).GetAll(one.near.shingles);
  if (!one.near.shingles.empty()) from.Get(one.near.bands);
  one.checked = (flags & 1) != 0;
  one.changed = (flags & 2) != 0;
}

bool ReadAt(int fd, uint64_t offset, void* bytes, size_t size) {
  char* to = static_cast<char*>(bytes);
  for (size_t done = 0; done < size;) {
    const ssize_t n = pread(fd, to + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

void WriteAt(const std::filesystem::path& path, int fd, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) FailToWrite(path, "cannot write the file for --resume", n < 0 ? errno : ENOSPC);
    offset += static_cast<uint64_t>(n);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

double NowSeconds() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

// Opens the file if it is there and no running program has it. -1: it is not there.
int OpenLocked(const std::filesystem::path& path, const std::filesystem::path& out) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return -1;
  if (fd < 0) FailToWrite(path, "cannot open what an interrupted run left", errno);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    throw Error({.where = out.string(),
                 .what = "another run prepares this folder now",
                 .found = path.string(),
                 .hint = "wait for it, or name another folder (-o)"});
  }
  return fd;
}

bool HasKey(int fd, const ContentKey& key) {
  char head[kHeaderBytes];
  return ReadAt(fd, 0, head, sizeof head) && std::string_view(head, kMagic.size()) == kMagic &&
         std::memcmp(head + kMagic.size(), &key, sizeof key) == 0;
}

}  // namespace

std::filesystem::path PassLog::PathOf(const std::filesystem::path& out) {
  const std::filesystem::path named = out.has_filename() ? out : out.parent_path();
  return named.string() + ".stablelm.resume";
}

void PassLog::RemoveLeftOver(const std::filesystem::path& out, const std::string& key) {
  const std::filesystem::path path = PathOf(out);
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 && HasKey(fd, Hash128(key))) unlink(path.c_str());
  close(fd);
}

PassLog::PassLog(const std::filesystem::path& out, const std::string& key, const PassLogOptions& options)
    : path_(PathOf(out)), key_(Hash128(key)), chain_(key_), options_(options), written_s_(NowSeconds()) {
  fd_ = OpenLocked(path_, out);
  if (fd_ < 0) return;
  struct stat status = {};
  fstat(fd_, &status);
  const auto bytes = static_cast<uint64_t>(status.st_size);
  const bool same = HasKey(fd_, key_);
  ErrorInfo refusal{.where = out.string()};
  if (!same && bytes >= kHeaderBytes) {
    refusal.what = "an interrupted run of other settings, or of files that changed since, is beside it";
    refusal.found = path_.string();
    refusal.hint = "run it as it was, with --resume; or remove that file to begin anew";
  } else if (!options_.resume && bytes > kHeaderBytes) {
    refusal.what = "an interrupted run of this preparation is beside it";
    refusal.found = path_.string();
    refusal.hint = "--resume continues it; or remove that file to begin anew";
  }
  if (!refusal.what.empty()) {
    close(std::exchange(fd_, -1));
    throw Error(std::move(refusal));
  }
  if (!same) {  // killed before it was whole
    if (ftruncate(fd_, 0) != 0) FailToWrite(path_, "cannot write the file for --resume", errno);
    WriteHeader();
    return;
  }
  size_ = kHeaderBytes;
  replaying_ = true;
}

PassLog::~PassLog() {
  if (fd_ < 0) return;
  unlink(path_.c_str());
  close(fd_);
}

void PassLog::WriteHeader() {
  std::string head(kMagic);
  Put(key_, head);
  WriteAt(path_, fd_, 0, head);
  size_ = head.size();
}

void PassLog::Damaged() const {
  throw Error({.where = path_.string(),
               .what = "what the interrupted run left is damaged",
               .hint = "remove the file and prepare again"});
}

bool PassLog::NextBlock() {
  BlockHead head;
  struct stat status = {};
  if (!replaying_ || fstat(fd_, &status) != 0 || !ReadAt(fd_, size_, &head, sizeof head)) return false;
  const uint64_t begin = size_ + sizeof head;
  if (head.size > kMostBlockBytes || head.size > static_cast<uint64_t>(status.st_size) - begin) return false;
  block_.resize(static_cast<size_t>(head.size));
  if (!ReadAt(fd_, begin, block_.data(), block_.size()) || HashOfBlock(chain_, block_) != head.hash) return false;
  chain_ = head.hash;
  size_ = begin + head.size;
  left_ = block_;
  return true;
}

// The next event of the log; it moves from reading to writing when there is none.
std::optional<PassLog::Event> PassLog::NextEvent() {
  if (!replaying_) return std::nullopt;
  if (left_.empty() && !NextBlock()) {
    replaying_ = false;
    block_ = {};
    written_s_ = NowSeconds();
    if (ftruncate(fd_, static_cast<off_t>(size_)) != 0) {
      FailToWrite(path_, "cannot write the file for --resume", errno);
    }
    return std::nullopt;
  }
  if (left_.empty()) Damaged();
  const auto event = static_cast<Event>(left_.front());
  left_.remove_prefix(1);
  return event;
}

std::optional<PassLog::Replayed> PassLog::Replay(const FileId& id, FunctionRef<void(const std::string& format)> begin,
                                                 FunctionRef<void(PassedRow&)> row) {
  std::optional<Event> event = NextEvent();
  if (!event) return std::nullopt;
  FileId had;
  std::string format;
  Taker from(left_);
  from.Get(had.source).Get(had.file).GetAll(had.sha256).GetAll(format);
  if (event != Event::kFile || !from.good() || had.source != id.source || had.file != id.file) Damaged();
  if (had.sha256 != id.sha256) {
    throw Error({.where = path_.string(),
                 .what = "a file was changed since the interrupted run read it",
                 .found = "SHA-256 " + id.sha256,
                 .expected = had.sha256,
                 .hint = "remove this file and prepare again"});
  }
  begin(format);
  Replayed replayed;
  while ((event = NextEvent())) {
    PassedRow one;
    std::string why;
    uint64_t count = 0;
    switch (*event) {
      case Event::kRow:
        from.Get(one.row).Get(one.line).Get(one.repairs).Get(one.changes).Get(count);
        if (!from.good() || count > left_.size()) Damaged();
        one.file = id.file;
        one.conversations.resize(static_cast<size_t>(count));
        for (PassedConversation& conversation : one.conversations) GetConversation(from, conversation);
        if (!from.good() || one.conversations.empty()) Damaged();
        ++replayed.rows;
        ++replayed_rows_;
        row(one);
        break;
      case Event::kDropped:
        if (!from.GetAll(why).good()) Damaged();
        replayed.dropped = std::move(why);
        replayed.ended = true;
        return replayed;
      case Event::kEnd:
        replayed.ended = true;
        return replayed;
      default:
        Damaged();
    }
  }
  return replayed;
}

void PassLog::BeginFile(const FileId& id, const std::string& format) {
  Put(Event::kFile, block_);
  Put(id.source, block_);
  Put(id.file, block_);
  PutText(id.sha256, block_);
  PutText(format, block_);
  EndEvent();
}

void PassLog::Row(const PassedRow& row) {
  size_t bytes = block_.size();
  for (const PassedConversation& one : row.conversations) {
    bytes += one.samples.bytes.size() + one.near.shingles.size() * sizeof(uint64_t);
  }
  constexpr size_t kOthers = size_t{64} << 10;
  if (bytes > options_.block_bytes) block_.reserve(bytes + kOthers);  // of a long row no more than it needs
  Put(Event::kRow, block_);
  Put(row.row, block_);
  Put(row.line, block_);
  Put(row.repairs, block_);
  Put(row.changes, block_);
  Put(uint64_t{row.conversations.size()}, block_);
  for (const PassedConversation& one : row.conversations) PutConversation(one, block_);
  EndEvent();
}

void PassLog::DropFile(const std::string& why) {
  Put(Event::kDropped, block_);
  PutText(why, block_);
  EndEvent();
}

void PassLog::EndFile() {
  Put(Event::kEnd, block_);
  EndEvent();
}

void PassLog::EndEvent() {
  STABLELM_CHECK(!replaying_);
  if (block_.size() >= options_.block_bytes || NowSeconds() - written_s_ >= options_.block_s) WriteBlock();
}

void PassLog::WriteBlock() {
  if (fd_ < 0) {
    fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ < 0) FailToWrite(path_, "cannot create the file for --resume", errno);
    flock(fd_, LOCK_EX | LOCK_NB);
    WriteHeader();
  }
  const BlockHead head{.size = block_.size(), .hash = HashOfBlock(chain_, block_)};
  WriteAt(path_, fd_, size_, {reinterpret_cast<const char*>(&head), sizeof head});
  WriteAt(path_, fd_, size_ + sizeof head, block_);
  size_ += sizeof head + block_.size();
  chain_ = head.hash;
  if (block_.capacity() > 4 * options_.block_bytes) block_ = {};
  block_.clear();
  written_s_ = NowSeconds();
}

}  // namespace stablelm
