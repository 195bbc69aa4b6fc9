#include "checkpoint/huggingface/tokenizer_writer.h"

#include <nlohmann/json.hpp>

namespace stablelm {

std::string WriteTokenizerJson(const TokenizerSpec& spec) {
  using Json = nlohmann::ordered_json;
  Json added = Json::array();
  for (const AddedToken& token : spec.added_tokens) {
    added.push_back({{"id", token.id},
                     {"content", token.content},
                     {"single_word", token.single_word},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", token.normalized},
                     {"special", token.special}});
  }
  Json vocab = Json::object();
  // push_back, not operator[]: operator[] searches the whole object for the key, and the keys are unique.
  auto& entries = vocab.get_ref<Json::object_t&>();
  for (int32_t id = 0; id < spec.vocabulary.size(); ++id) {
    entries.push_back({std::string(spec.vocabulary.Spelling(id)), Json(id)});
  }
  Json merges = Json::array();
  for (const BpeMerge& merge : spec.merges) {
    merges.push_back(std::string(spec.vocabulary.Spelling(merge.left)) + " " +
                     std::string(spec.vocabulary.Spelling(merge.right)));
  }
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  Json root;
  root["version"] = "1.0";
  root["truncation"] = nullptr;
  root["padding"] = nullptr;
  root["added_tokens"] = std::move(added);
  root["normalizer"] = spec.nfc ? Json{{"type", "NFC"}} : Json(nullptr);
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
  return root.dump(2) + "\n";
}

}  // namespace stablelm
