#include "dataset/export.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/json_value.h"
#include "dataset/token_shards.h"
#include "prompt/prompt_template.h"

namespace stablelm {
namespace {

// The control tokens of a template; -1: it has none.
struct RoleIds {
  int32_t system = -1, user = -1, assistant = -1, end = -1;
};

RoleIds RoleIdsOf(const std::string& name, const Tokenizer& tokenizer) {
  const auto id = [&](const char* spelling) { return SpecialTokenId(tokenizer, spelling).value_or(-1); };
  if (name == NameOf(PromptTemplate::kStableLmTuned)) {
    return {id("<|SYSTEM|>"), id("<|USER|>"), id("<|ASSISTANT|>"), id("<|endoftext|>")};
  }
  if (name == NameOf(PromptTemplate::kOasstNeox)) {
    return {id("<|system|>"), id("<|prompter|>"), id("<|assistant|>"), id("<|endoftext|>")};
  }
  throw Error({.where = "template " + name,
               .what = "conversations cannot be told from their tokens: text marks the roles",
               .expected = "data prepared for stablelm-tuned or oasst-neox",
               .hint = "prepare the data once more with `--set template=stablelm-tuned`"});
}

struct Turn {
  const char* role = "";
  std::vector<int32_t> ids;
  bool target = false;
};

class Exporter {
 public:
  Exporter(const RoleIds& roles, const Tokenizer& tokenizer, FunctionRef<void(const std::string&)> line)
      : roles_(roles), tokenizer_(tokenizer), line_(line) {}

  // The next piece of a row, in order.
  void Piece(std::span<const int32_t> ids, std::span<const uint8_t> targets) {
    const bool goes_on = !turns_.empty();  // the piece before ended with the opening of the next user turn
    size_t at = 0;
    if (!goes_on && !IsRole(ids[0])) return Text(ids);
    Turn* turn = goes_on ? &turns_.back() : nullptr;
    // The repeated system text, and the user token that the piece before ended with.
    if (goes_on) {
      while (at < ids.size() && ids[at] != roles_.user) ++at;
      at = std::min(at + 1, ids.size());
    }
    for (; at < ids.size(); ++at) {
      if (const char* role = RoleOf(ids[at])) {
        turn = &turns_.emplace_back(Turn{.role = role, .ids = {}, .target = false});
      } else if (ids[at] != roles_.end && turn != nullptr) {
        turn->ids.push_back(ids[at]);
        turn->target |= targets[at] != 0;
      }
    }
    if (!IsRole(ids.back())) Finish();
  }
  void Finish() {
    if (turns_.empty()) return;
    if (turns_.back().ids.empty()) turns_.pop_back();  // what followed was dropped
    JsonValue messages = JsonValue::Array();
    for (const Turn& turn : turns_) {
      JsonValue message = {{"role", turn.role}, {"content", tokenizer_.DecodeBytes(turn.ids)}};
      if (turn.role == std::string_view("assistant") && !turn.target) message["weight"] = 0;
      messages.push_back(std::move(message));
    }
    turns_.clear();
    JsonValue row = JsonValue::Object();
    row["messages"] = std::move(messages);
    line_(row.Dump());
  }
  void FinishText() {
    if (text_.empty()) return;
    JsonValue row = JsonValue::Object();
    row["text"] = tokenizer_.DecodeBytes(text_);
    text_.clear();
    line_(row.Dump());
  }

 private:
  void Text(std::span<const int32_t> ids) {
    for (const int32_t id : ids) {
      if (id != roles_.end) text_.push_back(id);
    }
  }
  bool IsRole(int32_t id) const { return RoleOf(id) != nullptr; }
  const char* RoleOf(int32_t id) const {
    if (id == roles_.system) return "system";
    if (id == roles_.user) return "user";
    return id == roles_.assistant ? "assistant" : nullptr;
  }

  RoleIds roles_;
  const Tokenizer& tokenizer_;
  FunctionRef<void(const std::string&)> line_;
  std::vector<Turn> turns_;
  std::vector<int32_t> text_;  // pieces of one document
};

}  // namespace

void ExportConversations(const std::filesystem::path& folder, const std::string& split, const Manifest& manifest,
                         const Tokenizer& tokenizer, FunctionRef<void(const std::string&)> line) {
  const TokenShards shards(folder, split);
  const std::span<const TokenDocument> documents = shards.documents();
  std::vector<uint64_t> order(documents.size());
  std::iota(order.begin(), order.end(), uint64_t{0});
  const auto row = [&](uint64_t d) {
    const TokenDocument& one = documents[d];
    return std::tuple(one.source, one.file, one.row, one.repeat);
  };
  std::stable_sort(order.begin(), order.end(), [&](uint64_t a, uint64_t b) {
    return std::pair(row(a), documents[a].piece) < std::pair(row(b), documents[b].piece);
  });
  Exporter exporter(RoleIdsOf(manifest.prompt_template, tokenizer), tokenizer, line);
  std::vector<int32_t> ids;
  std::vector<uint8_t> targets;
  std::optional<uint64_t> before;
  for (size_t i = 0; i < order.size();) {
    const uint64_t d = order[i];
    if (documents[d].repeat != 0) {
      ++i;
      continue;
    }
    if (before && row(*before) != row(d)) {
      exporter.Finish();
      exporter.FinishText();
    }
    before = d;
    // Concatenated packs hold a piece in parts, in their order.
    ids.clear();
    targets.clear();
    for (; i < order.size() && row(order[i]) == row(d) && documents[order[i]].piece == documents[d].piece; ++i) {
      const TokenDocument& part = documents[order[i]];
      const size_t at = ids.size();
      ids.resize(at + part.length);
      targets.resize(at + part.length);
      shards.Read(part, std::span(ids).subspan(at), std::span(targets).subspan(at));
    }
    exporter.Piece(ids, targets);
  }
  exporter.Finish();
  exporter.FinishText();
}

}  // namespace stablelm
