// Converts folders to GGUF files and back with the real program, and uses a GGUF file in place of a folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "golden_command.h"
#include "program_error.h"
#include "test_paths.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

const std::string kGolden = TestData("golden/");

// Expects every tensor of `a` in `b` with the same type and bytes.
void ExpectSameTensors(const fs::path& a, const fs::path& b) {
  const auto want = ModelFolder::Open(a.string()), got = ModelFolder::Open(b.string());
  for (size_t i = 0; i < want->table().size(); ++i) {
    SCOPED_TRACE(want->table()[i].name);
    const StoredTensor &x = want->TensorOf(i), &y = got->TensorOf(i);
    ASSERT_EQ(x.dtype, y.dtype);
    ASSERT_EQ(x.bytes, y.bytes);
    std::vector<std::byte> p(x.bytes), q(y.bytes);
    GatherTensor(x, want->FileOf(i).map->bytes(), p);
    GatherTensor(y, got->FileOf(i).map->bytes(), q);
    ASSERT_EQ(std::memcmp(p.data(), q.data(), p.size()), 0);
  }
}

std::string Content(const fs::path& path) { return ReadTextFile(path, 1 << 24); }

TEST(Convert, ThereAndBackGivesTheSameBits) {
  for (const char* name : {"parallel", "sequential", "gelu_tanh", "odd_width", "head128_fp16", "bf16_newconfig",
                           "bin_legacy_fp32", "bin_sharded_fp16"}) {
    SCOPED_TRACE(name);
    const TempFolder temp;
    const fs::path in = kGolden + name, file = temp.path() / "model.gguf", back = temp.path() / "back";
    const ProgramResult there = RunProgramBinary({"convert", in.string(), file.string()});
    ASSERT_EQ(there.exit_code, 0) << there.err;
    EXPECT_THAT(there.out, HasSubstr("model.gguf: "));
    const ProgramResult home = RunProgramBinary({"convert", file.string(), back.string(), "--json"});
    ASSERT_EQ(home.exit_code, 0) << home.err;
    EXPECT_EQ(nlohmann::json::parse(home.out).at("format"), "folder");
    ExpectSameTensors(in, back);
    EXPECT_EQ(Content(in / "config.json"), Content(back / "config.json"));
    const fs::path again = temp.path() / "again.gguf";
    ASSERT_EQ(RunProgramBinary({"convert", file.string(), again.string()}).exit_code, 0);
    EXPECT_EQ(Content(again), Content(file));
  }
}

TEST(Convert, SmallFilesGoAlong) {
  const TempFolder temp;
  const fs::path in = ModelWithTokenizer(temp), file = temp.path() / "m.gguf", back = temp.path() / "back";
  const std::string readme = "---\nlicense: cc-by-nc-sa-4.0\n---\nA model.\n";
  WriteFile(in / "README.md", readme);
  WriteFile(in / "stablelm_chat.json",
            "{\"template\": \"stablelm-tuned\", \"system\": \"Be kind.\", \"stop_tokens\": [\"!\"],\n"
            " \"generation\": {\"top_k\": 9}}\n");
  WriteFile(in / "generation_config.json", "{\"temperature\": 0.25, \"do_sample\": true}\n");
  WriteFile(in / "tokenizer_config.json", "{}\n");
  ASSERT_EQ(RunProgramBinary({"convert", in.string(), file.string(), "--name", "kind"}).exit_code, 0);
  {
    const GgufFile gguf(file);
    EXPECT_EQ(gguf.header().Text("general.license"), "cc-by-nc-sa-4.0");
    EXPECT_EQ(gguf.header().Text("general.name"), "kind");
    EXPECT_EQ(gguf.header().Text("tokenizer.ggml.pre"), "olmo");
    EXPECT_EQ(gguf.header().Integer("general.file_type"), 1);
  }
  EXPECT_THAT(RunProgramBinary({"inspect", file.string()}).out,
              HasSubstr("\"stop_tokens\": [\"!\"], \"generation\""));  // in one line
  const ProgramResult home = RunProgramBinary({"convert", file.string(), back.string()});
  ASSERT_EQ(home.exit_code, 0) << home.err;
  for (const char* name : {"config.json", "tokenizer.json", "README.md", "stablelm_chat.json", "generation_config.json",
                           "tokenizer_config.json"}) {
    EXPECT_EQ(Content(in / name), Content(back / name)) << name;
  }

  // The licence given is copied too.
  const fs::path other = temp.path() / "other.gguf", other_back = temp.path() / "other";
  ASSERT_EQ(RunProgramBinary({"convert", in.string(), other.string(), "--license", "mit"}).exit_code, 0);
  ASSERT_EQ(RunProgramBinary({"convert", other.string(), other_back.string()}).exit_code, 0);
  EXPECT_EQ(Content(other_back / "README.md"), "---\nlicense: mit\n---\nA model.\n");

  // Both give the same prompt for a conversation, and the same settings.
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"prompt", "--user", "Hello", "--json"}, {"tokenize", "Hello  world", "--json"}}) {
    std::vector<std::string> of_folder = command, of_file = command;
    of_folder.insert(of_folder.end(), {"-m", in.string()});
    of_file.insert(of_file.end(), {"-m", file.string()});
    const ProgramResult want = RunProgramBinary(of_folder), got = RunProgramBinary(of_file);
    ASSERT_EQ(got.exit_code, 0) << got.err;
    auto a = nlohmann::json::parse(want.out), b = nlohmann::json::parse(got.out);
    for (const char* key : {"template_from", "system_from"}) {
      if (!a.contains(key)) continue;
      EXPECT_EQ(a[key], "stablelm_chat.json");
      EXPECT_EQ(b[key], "stablelm.chat");
      a.erase(key), b.erase(key);
    }
    EXPECT_EQ(a, b);
  }
  const ProgramResult settings = RunProgramBinary({"generate", "-m", file.string(), "--show-config"});
  EXPECT_THAT(settings.out, AllOf(HasSubstr("0.25"), HasSubstr("stablelm.generation_config"), HasSubstr("\"!\"")));
  std::string of_folder = RunProgramBinary({"generate", "-m", in.string(), "--show-config"}).out,
              of_file = settings.out;
  const auto rename = [&](const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = of_folder.find(from, at)) != std::string::npos;) of_folder.replace(at, from.size(), to);
  };
  rename("stablelm_chat.json", "stablelm.chat");
  rename("generation_config.json", "stablelm.generation_config");
  EXPECT_EQ(of_file, of_folder);
}

// A file from llama.cpp's tools has only the token lists, and its own key for the licence.
TEST(Convert, AFileWithoutCarriedFilesBecomesAFolder) {
  const TempFolder temp;
  const fs::path in = ModelWithTokenizer(temp), file = temp.path() / "m.gguf", bare = temp.path() / "bare.gguf";
  ASSERT_EQ(RunProgramBinary({"convert", in.string(), file.string(), "--license", "mit"}).exit_code, 0);
  {
    const GgufFile gguf(file);
    GgufMetadata metadata;
    for (const GgufEntry& entry : gguf.header().entries) {
      if (!entry.key.starts_with("stablelm.") && entry.key != "tokenizer.huggingface.json") metadata.Copy(entry);
    }
    std::vector<GgufTensorEntry> tensors;
    for (const StoredTensor& tensor : gguf.header().tensors) {
      tensors.push_back({tensor.name, *tensor.dtype, tensor.shape});
    }
    GgufWriter writer(bare, metadata, tensors);
    for (size_t i = 0; i < tensors.size(); ++i) {
      writer.WriteAt(i, 0, gguf.map().bytes().subspan(gguf.header().tensors[i].offset, gguf.header().tensors[i].bytes));
    }
    writer.Commit();
  }
  const fs::path back = temp.path() / "back";
  const ProgramResult home = RunProgramBinary({"convert", bare.string(), back.string()});
  ASSERT_EQ(home.exit_code, 0) << home.err;
  ExpectSameTensors(in, back);  // all tensors are fp16 again, without loss
  EXPECT_THAT(Content(back / "README.md"), HasSubstr("license: mit"));
  const auto ids = [](const fs::path& model) {
    return RunProgramBinary({"tokenize", "-m", model.string(), "Hello  world <|USER|>", "--json"}).out;
  };
  EXPECT_EQ(ids(back), ids(in));
}

TEST(Convert, DtypeIsThatOfTheMatrices) {
  const TempFolder temp;
  const fs::path file = temp.path() / "m.gguf", folder = temp.path() / "m";
  ASSERT_EQ(RunProgramBinary({"convert", kGolden + "parallel", file.string(), "--dtype", "bf16"}).exit_code, 0);
  {
    const GgufFile gguf(file);
    EXPECT_EQ(gguf.header().Integer("general.file_type"), 32);
    for (const StoredTensor& tensor : gguf.header().tensors) {
      EXPECT_EQ(tensor.dtype, tensor.shape.rank() == 2 ? DType::kBF16 : DType::kF32) << tensor.name;
    }
  }
  ASSERT_EQ(RunProgramBinary({"convert", kGolden + "parallel", folder.string(), "--dtype", "fp16"}).exit_code, 0);
  const auto model = ModelFolder::Open(folder.string());
  for (const StoredTensor& tensor : model->files()[0].tensors) EXPECT_EQ(tensor.dtype, DType::kF16);
  EXPECT_EQ(model->config().stored_dtype, DType::kF16);
}

TEST(Convert, QuantizedMatricesStayOrAreDecoded) {
  const TempFolder temp;
  const fs::path file = temp.path() / "q.gguf", copy = temp.path() / "copy.gguf", wide = temp.path() / "wide.gguf";
  ASSERT_EQ(RunProgramBinary({"quantize", "-m", kGolden + "head128_fp16", "--type", "Q8_0", file.string()}).exit_code,
            0);
  ASSERT_EQ(RunProgramBinary({"convert", file.string(), copy.string()}).exit_code, 0);
  EXPECT_EQ(Content(copy), Content(file));
  ASSERT_EQ(RunProgramBinary({"convert", file.string(), wide.string(), "--dtype", "fp32"}).exit_code, 0);
  {
    const GgufFile gguf(wide);
    EXPECT_EQ(gguf.header().Integer("general.file_type"), 0);
    EXPECT_EQ(gguf.header().Find("general.quantization_version"), nullptr);
    for (const GgufEntry& entry : gguf.header().entries) {
      EXPECT_FALSE(entry.key.starts_with("stablelm.quantize.")) << entry.key;
    }
    for (const StoredTensor& tensor : gguf.header().tensors) EXPECT_EQ(tensor.dtype, DType::kF32);
  }
  const auto ids = [](const fs::path& model, const std::string& dtype) {
    return RunProgramBinary(
               {"generate", "-m", model.string(), "--dtype", dtype, "--ids", "1 2 3", "--max-new-tokens", "8"})
        .out;
  };
  EXPECT_EQ(ids(wide, "stored"), ids(file, "fp32"));
  EXPECT_NE(ids(wide, "stored"), "");
}

TEST(Convert, CommandsTakeAFileForAFolder) {
  const TempFolder temp;
  const fs::path file = temp.path() / "m.gguf";
  ASSERT_EQ(RunProgramBinary({"convert", kParallel, file.string()}).exit_code, 0);
  const auto run = [](const std::string& model, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"-m", model});
    return RunProgramBinary(arguments);
  };
  const std::vector<std::string> generate = {"generate", "--ids", "1 2 3", "--max-new-tokens", "8"};
  const ProgramResult want = run(kParallel, generate), got = run(file.string(), generate);
  ASSERT_EQ(got.exit_code, 0) << got.err;
  EXPECT_EQ(got.out, want.out);
  EXPECT_EQ(run(temp.path().string(), generate).out, want.out);  // a folder that contains only this file
  WriteFile(temp.path() / "in.json", "[[1,2,3,4]]");
  const std::vector<std::string> score = {"score", "--ids-file", (temp.path() / "in.json").string(), "--json"};
  EXPECT_EQ(run(file.string(), score).out, run(kParallel, score).out);
  EXPECT_EQ(run(file.string(), {"fit"}).exit_code, 0);

  const ProgramResult inspect = RunProgramBinary({"inspect", file.string(), "--json", "--tensors", "--hash"});
  ASSERT_EQ(inspect.exit_code, 0) << inspect.err;
  const auto json = nlohmann::json::parse(inspect.out);
  EXPECT_EQ(json.at("parameters"), 215616);
  EXPECT_EQ(json.at("gguf").at("version"), 3);
  EXPECT_EQ(json.at("gguf").at("keys").at("gptneox.block_count").at("value"), 3);
  EXPECT_EQ(json.at("files").size(), 1u);
  EXPECT_EQ(json.at("files")[0].at("format"), "GGUF");
  EXPECT_EQ(json.at("tensors")[0].at("name"), "token_embd.weight");
  const ProgramResult text = RunProgramBinary({"inspect", file.string(), "--keys"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("gptneox.attention.head_count u32 4\n"),
                              HasSubstr("name        \"parallel\"\n"), HasSubstr("GGUF, 40 tensors")));
}

TEST(Convert, ActivationCanBeChosen) {
  const auto ids = [](const std::string& activation) {
    std::vector<std::string> arguments = {"score", "-m", kParallel, "--ids-file", "-", "--json"};
    if (!activation.empty()) arguments.insert(arguments.end(), {"--activation", activation});
    const ProgramResult result = RunProgramBinary(arguments, {.standard_input = "[[1,2,3,4]]"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  EXPECT_EQ(ids("gelu"), ids(""));
  EXPECT_NE(ids("gelu_tanh"), ids(""));
  EXPECT_THAT(RunProgramBinary({"generate", "-m", kParallel, "--ids", "1", "--activation", "relu"}),
              Fails(2, "--activation", {"\"relu\"", "gelu_tanh"}));
}

TEST(Convert, Refusals) {
  const TempFolder temp;
  const std::string out = (temp.path() / "out").string();
  EXPECT_THAT(RunProgramBinary({"convert"}), Fails(2, "MODEL"));
  EXPECT_THAT(RunProgramBinary({"convert", kParallel}), Fails(2, "OUT"));
  for (const char* slip : {"x.onnx", "model.safetensors", "-"}) {
    EXPECT_THAT(RunProgramBinary({"convert", kParallel, slip}), Fails(2, "OUT", {slip, ".gguf"}));
  }
  EXPECT_THAT(RunProgramBinary({"convert", kParallel, out, "--name", "x"}), Fails(2, "--name", {".gguf"}));
  WriteFile(temp.path() / "m.gguf", "mine");
  const std::string mine = (temp.path() / "m.gguf").string();
  EXPECT_THAT(RunProgramBinary({"convert", kParallel, mine}), Fails(1, mine));
  EXPECT_EQ(Content(temp.path() / "m.gguf"), "mine");
  fs::create_symlink("gone", temp.path() / "link.gguf");
  const std::string link = (temp.path() / "link.gguf").string();
  EXPECT_THAT(RunProgramBinary({"convert", kParallel, link}), Fails(1, link, {"file exists"}));
  EXPECT_FALSE(fs::exists(link + ".new"));  // refused before the work
  EXPECT_THAT(RunProgramBinary({"convert", mine, out}), Fails(1, mine, {"\"mine\"", "a GGUF file"}));
  EXPECT_FALSE(fs::exists(out));
}

TEST(Convert, NearMissesOfTheEnding) {
  const TempFolder temp;
  const auto out = [&](const std::string& name) { return (temp.path() / name).string(); };
  const std::pair<const char*, const char*> cases[] = {{"x.ggfu", "x.gguf"},    {"x.guf", "x.gguf"},
                                                       {"X.GGUFF", "X.gguf"},   {"dd.gguf/", "dd.gguf"},
                                                       {".gguf", "model.gguf"}, {"x.gguf ", "x.gguf"}};
  for (const auto& [typed, meant] : cases) {
    EXPECT_THAT(RunProgramBinary({"convert", kParallel, out(typed)}),
                Fails(2, "OUT", {Quoted(out(typed)), "write " + out(meant)}))
        << typed;
  }
  EXPECT_THAT(RunProgramBinary({"init", "--shape", "3b", out("m.gguf")}), Fails(2, "OUT", {"m.gguf", "a folder"}));
  for (const auto& [typed, meant] : {std::pair("o/qq", "o/qq.gguf"), {"q.ggfu", "q.gguf"}, {"q.gguf/", "q.gguf"}}) {
    EXPECT_THAT(RunProgramBinary({"quantize", kParallel, out(typed)}), Fails(2, "OUT", {out(typed), out(meant)}));
  }
  EXPECT_TRUE(fs::is_empty(temp.path()));
}

// What the model runs without is left out of the new one.
TEST(Convert, SmallFilesThatCannotBeReadAreLeftAside) {
  const TempFolder temp;
  const fs::path model = temp.path() / "model";
  fs::copy(kParallel, model);
  fs::create_symlink("../../blobs/1", model / "README.md");
  fs::create_symlink("../../blobs/2", model / "tokenizer_config.json");
  fs::create_directory(model / "special_tokens_map.json");
  WriteFile(model / "generation_config.json", "");
  for (const char* out : {"m.gguf", "folder"}) {
    const ProgramResult result = RunProgramBinary({"convert", model.string(), (temp.path() / out).string()});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    for (const char* name :
         {"README.md", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"}) {
      EXPECT_THAT(result.err, HasSubstr("warning: " + (model / name).string()));
      EXPECT_FALSE(fs::exists(temp.path() / "folder" / name));
    }
  }
  ExpectSameTensors(model, temp.path() / "folder");
  fs::create_symlink("gone", model / "tokenizer.json");
  EXPECT_THAT(RunProgramBinary({"convert", model.string(), (temp.path() / "n.gguf").string()}),
              Fails(1, (model / "tokenizer.json").string(), {"\"gone\""}));
}

// Errors name the file that the user will have, not the temporary one.
// Runs `convert` of the parallel model under `ulimit LIMIT`.
ProgramResult ConvertUnder(const std::string& limit, const std::string& out) {
  return RunProgramBinary({"-c", "ulimit " + limit + "; exec \"$0\" convert " + kParallel + " " + out, kProgram},
                          {.program = "/bin/sh"});
}

TEST(Convert, AnOutputLargerThanFilesMayBeIsNamed) {
  if (*kEmulator) GTEST_SKIP() << "the limit would be the emulator's";
  const TempFolder temp;
  const std::string out = (temp.path() / "out").string();
  EXPECT_THAT(ConvertUnder("-f 64", out), Fails(1, out + "/model.safetensors:", {"ulimit -f"}));
  EXPECT_TRUE(fs::is_empty(temp.path()));
}

TEST(Convert, AnOutputThatNeedsOneFileTooManyIsNamed) {
  if (*kEmulator) GTEST_SKIP() << "the limit would be the emulator's";
  if (kSanitizerOpensFiles)
    GTEST_SKIP() << "the sanitizer opens files of its own, and stops the program where it may not";
  const TempFolder temp;
  const std::string out = (temp.path() / "out").string();
  // Standard streams, and as many files more as the model's take.
  bool refused = false;
  for (int files = 4; files < 16 && !refused; ++files) {
    const ProgramResult result = ConvertUnder("-n " + std::to_string(files), out);
    if (result.err.find("error: " + out) == std::string::npos) continue;
    EXPECT_THAT(result, Fails(1, out + "/", {"ulimit -n"}));
    refused = true;
  }
  EXPECT_TRUE(refused);
  EXPECT_TRUE(fs::is_empty(temp.path()));
}

}  // namespace
}  // namespace stablelm
