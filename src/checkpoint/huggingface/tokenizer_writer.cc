#include "checkpoint/huggingface/tokenizer_writer.h"

#include "base/json_value.h"

namespace stablelm {

std::string WriteTokenizerJson(const TokenizerSpec& spec) {
  JsonValue added = JsonValue::Array();
  for (const AddedToken& token : spec.added_tokens) {
    added.push_back({{"id", token.id},
                     {"content", token.content},
                     {"single_word", token.single_word},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", token.normalized},
                     {"special", token.special}});
  }
  JsonValue vocab = JsonValue::Object();
  for (int32_t id = 0; id < spec.vocabulary.size(); ++id) vocab.Append(spec.vocabulary.Spelling(id), id);
  JsonValue merges = JsonValue::Array();
  for (const BpeMerge& merge : spec.merges) {
    merges.push_back(std::string(spec.vocabulary.Spelling(merge.left)) + " " +
                     std::string(spec.vocabulary.Spelling(merge.right)));
  }
  const JsonValue byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  JsonValue root;
  root["version"] = "1.0";
  root["truncation"] = nullptr;
  root["padding"] = nullptr;
  root["added_tokens"] = std::move(added);
  root["normalizer"] = spec.nfc ? JsonValue{{"type", "NFC"}} : JsonValue();
  root["pre_tokenizer"] = byte_level;
  root["post_processor"] = byte_level;
  root["decoder"] = byte_level;
  root["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"vocab", std::move(vocab)},
                   {"merges", std::move(merges)}};
  return root.Dump(2) + "\n";
}

}  // namespace stablelm
