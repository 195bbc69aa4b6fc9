#include "train/run_sessions.h"

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/strict_json.h"

namespace stablelm {
namespace {

constexpr size_t kMostSessionBytes = size_t{16} << 20;

}  // namespace

std::string UtcNow() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

RunSessions::RunSessions(const std::filesystem::path& folder, const RunSession& now, int64_t step)
    : file_(folder / "run.json") {
  std::error_code error;
  if (std::filesystem::exists(file_, error)) {
    try {
      const nlohmann::json json = ParseStrictJson(ReadTextFile(file_, kMostSessionBytes), file_.string());
      for (const nlohmann::json& session : json.at("sessions")) {
        sessions_.push_back(JsonValueOf(session));
        last_simd_ = session.value("simd", "");
      }
    } catch (const std::exception&) {  // a record for people: nothing depends on it
      sessions_.clear();
      last_simd_.clear();
    }
  }
  sessions_.push_back({{"program", now.program},
                       {"simd", now.simd},
                       {"processor", now.processor},
                       {"threads", now.threads},
                       {"start", now.start},
                       {"from_step", step}});
  Write();
}

void RunSessions::End(int64_t step, const std::string& how, const std::string& checkpoint_hash) {
  JsonValue& session = sessions_.back();
  session["end"] = UtcNow();
  session["to_step"] = step;
  session["result"] = how;
  if (!checkpoint_hash.empty()) session["checkpoint_sha256"] = checkpoint_hash;
  Write();
}

void RunSessions::Write() const {
  WriteTextFileAtomically(file_, JsonValue{{"sessions", JsonValue(sessions_)}}.Dump(2) + "\n");
}

}  // namespace stablelm
