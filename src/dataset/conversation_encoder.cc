#include "dataset/conversation_encoder.h"

#include <algorithm>

#include "base/ascii.h"
#include "tokenizer/nfc.h"

namespace stablelm {
namespace {

std::string NfcOf(const std::string& text) {
  static const UnicodeTables tables;
  if (!MayNeedNfc(tables, text)) return text;
  std::string normal;
  std::vector<NfcEdit> edits;
  NormalizeNfc(tables, text, normal, edits);
  return normal;
}

uint64_t Count(std::string_view text, std::string_view word) {
  uint64_t count = 0;
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + word.size())) ++count;
  return count;
}

// Runs of targets that do not end in one of the ids that end an answer.
uint64_t OpenRuns(const Sample& sample, const EncodingSetup& setup, LossRule loss) {
  uint64_t open = 0;
  const size_t n = sample.ids.size();
  for (size_t i = 0; i < n; ++i) {
    if (sample.targets[i] == 0 || (i + 1 < n && (loss == LossRule::kAll || sample.targets[i + 1] != 0))) continue;
    const int32_t id = sample.ids[i];
    if (id != setup.end_id && std::find(setup.stops.begin(), setup.stops.end(), id) == setup.stops.end()) ++open;
  }
  return open;
}

}  // namespace

std::vector<std::string> SpecialSpellings(const Tokenizer& tokenizer) {
  std::vector<std::string> spellings;
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    if (tokenizer.IsSpecial(id)) spellings.emplace_back(tokenizer.TokenSpelling(id));
  }
  return spellings;
}

std::optional<std::string> SystemTextFor(const SourceConversation& conversation, const SystemRule& rule,
                                         const std::optional<std::string>& fallback) {
  switch (rule.kind) {
    case SystemRule::Kind::kNone:
      return std::nullopt;
    case SystemRule::Kind::kText:
      return rule.text;
    case SystemRule::Kind::kDefault:
      break;
  }
  return conversation.system && !IsBlank(*conversation.system) ? conversation.system : fallback;
}

EncodedConversation ConversationEncoder::Encode(SourceConversation& conversation, const SystemRule& system,
                                                LossRule loss, bool check_text) {
  EncodedConversation result;
  const SampleRules rules = {
      .loss = loss, .long_turn = setup_.long_turn, .sequence_length = setup_.sequence_length, .end_id = setup_.end_id};
  Prompt transcript;
  if (conversation.document) {
    encoder_.Encode(*conversation.document, {}, transcript.ids);
    CutText(transcript.ids, rules, result.samples, result.account);
  } else {
    Conversation messages;
    std::vector<uint8_t> mute;
    if (std::optional<std::string> text = SystemTextFor(conversation, system, setup_.system)) {
      messages.push_back({Role::kSystem, *std::move(text)});
      mute.push_back(0);
    }
    const size_t first = messages.size();
    for (SourceTurn& turn : conversation.turns) {  // texts may be long: they are lent
      messages.push_back({turn.role, std::move(turn.text)});
      mute.push_back(turn.role == Role::kAssistant && !turn.loss ? 1 : 0);
    }
    transcript = setup_.builder.BuildTranscript(messages, encoder_);
    for (size_t i = 0; i < conversation.turns.size(); ++i) {
      conversation.turns[i].text = std::move(messages[first + i].text);
    }
    CutTranscript(transcript, rules, mute, setup_.builder.tokenizer(), result.samples, result.account);
    for (const Sample& sample : result.samples) result.open_answers += OpenRuns(sample, setup_, loss);
  }
  const auto count = [&](std::string_view text) {
    for (const std::string& spelling : setup_.specials) result.control_spellings += Count(text, spelling);
  };
  if (conversation.document) count(*conversation.document);
  for (const SourceTurn& turn : conversation.turns) count(turn.text);
  if (check_text) Check(conversation, transcript.ids, result);
  return result;
}

// Each text follows the one before in the bytes of the ids.
void ConversationEncoder::Check(const SourceConversation& conversation, std::span<const int32_t> ids,
                                EncodedConversation& result) const {
  const Tokenizer& tokenizer = setup_.builder.tokenizer();
  const std::string bytes = tokenizer.DecodeBytes(ids);
  size_t at = 0;
  const auto follow = [&](const std::string& text) {
    const std::string want = nfc_ ? NfcOf(text) : text;
    at = at == std::string::npos ? at : bytes.find(want, at);
    if (at != std::string::npos) at += want.size();
  };
  if (conversation.document) follow(*conversation.document);
  for (const SourceTurn& turn : conversation.turns) follow(turn.text);
  result.round_trip = at != std::string::npos;
}

}  // namespace stablelm
