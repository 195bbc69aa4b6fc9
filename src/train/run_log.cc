#include "train/run_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/write_error.h"

namespace stablelm {

JsonValue StepJson(const StepLog& step) {
  JsonValue object = {{"step", step.step},
                      {"epoch", step.epoch},
                      {"loss", step.loss},
                      {"smoothed_loss", step.smoothed_loss},
                      {"rate", step.rate},
                      {"gradient_norm", step.gradient_norm},
                      {"loss_scale", step.loss_scale},
                      {"tokens", step.tokens},
                      {"loss_tokens", step.loss_tokens},
                      {"skipped", step.skipped}};
  if (step.skipped) object["overflow"] = step.overflow;
  object["seconds"] = step.seconds;
  object["tokens_per_s"] = step.TokensPerSecond();
  return object;
}

RunLog::RunLog(const std::filesystem::path& file) : path_(file) {
  fd_ = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) FailToWrite(path_, "cannot create", errno);
}

RunLog::~RunLog() { close(fd_); }

void RunLog::Append(const JsonValue& object) {
  const std::string line = object.Dump() + "\n";
  for (size_t at = 0; at < line.size();) {
    const ssize_t n = write(fd_, line.data() + at, line.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailToWrite(path_, "cannot write", errno);
    at += static_cast<size_t>(n);
  }
}

}  // namespace stablelm
