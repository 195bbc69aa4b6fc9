// A chat session with a fake model that returns strings, and a screen that records what is shown.
#pragma once

#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/chat/chat_pipe.h"
#include "cli/chat/chat_session.h"
#include "prompt/prompt_testing.h"
#include "temp_folder.h"

namespace stablelm {

// Records everything that a session shows.
class TestScreen : public ChatScreen {
 public:
  void ReplyText(std::string_view piece) override { text += piece; }
  void EndReply(const ChatReply& reply, bool kept) override {
    dropped = reply.dropped_messages;
    note = EndNote(reply, kept);
  }
  void AbandonReply() override { ++abandoned; }
  void Show(const std::string& command, const std::string& shown) override { text += command + ":\n" + shown; }
  void Note(const std::string& line) override { notes.push_back(line); }
  void Warning(const std::string& line) override { warnings.push_back(line); }
  void Error(const std::string& line) override { errors.push_back(line); }
  std::optional<std::string> Edit(const std::string& given) override {
    edited = given;
    return edit;
  }

  bool has_input_line() const override { return input_line; }
  bool has_editor() const override { return !input_line; }

  bool input_line = false;
  std::string text, note, edited;
  std::vector<std::string> notes, warnings, errors;
  std::optional<std::string> edit;
  size_t dropped = 0;
  int abandoned = 0;
};

class Chat : public testing::Test {
 protected:
  ChatStart Start() const {
    ModelConfig config;
    config.max_positions = 64;
    config.vocab_size = 1000;
    const Tokenizer tokenizer = TunedTokenizer();
    ChatModel model = {.name = "m", .config = config, .tokenizer = tokenizer, .context = 64};
    model.defaults.tuned = true;
    model.defaults.record = CardChatRecord();
    model.defaults.record_from = "the model card";
    model.setup = {.prompt_template = PromptTemplate::kStableLmTuned,
                   .template_from = "the model card",
                   .system = "S",
                   .system_from = "--system"};
    return {.model = std::move(model), .policy = ContextPolicy::kDropOldestTurns, .reserve = 8, .seed = 7};
  }
  ChatSession Session() { return Session(Start()); }
  ChatSession Session(ChatStart start) {
    start.model.reply = [this](const GenerateRequest& request, const std::function<void(std::string_view)>& on_text) {
      requests.push_back(request);
      if (fails) throw Error({.where = "model", .what = "broken"});
      GenerateResult result;
      result.text = answers.empty() ? "A" + std::to_string(requests.size()) : answers.at(requests.size() - 1);
      result.reason = reason;
      result.shifts = shifts;
      result.ids = TunedTokenizer().Encode(result.text);
      on_text(result.text);
      return result;
    };
    return ChatSession(std::move(start), screen);
  }
  // "S|Hi|A1": the texts of the conversation.
  static std::string Texts(const ChatSession& session) {
    std::string all;
    for (const Message& message : session.WholeConversation()) all += (all.empty() ? "" : "|") + message.text;
    return all;
  }
  std::vector<int32_t> Prompt(const Conversation& conversation) const {
    return PromptBuilder(TunedTokenizer(), PromptTemplate::kStableLmTuned).BuildPrompt(conversation).ids;
  }

  TestScreen screen;
  std::vector<GenerateRequest> requests;
  std::vector<std::string> answers;
  FinishReason reason = FinishReason::kStop;
  bool fails = false;
  int64_t shifts = 0;
  const TempFolder temp_;
};

}  // namespace stablelm
