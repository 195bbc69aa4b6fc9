#include "cli/generating/generate_run.h"

#include "base/json_value.h"
#include "base/system.h"
#include "checkpoint/rewrite/quant_mix.h"

namespace stablelm {

void AddRunFacts(const OnePrompt& prompt, const GenerateRun& run, size_t generated, bool seeded, JsonValue seconds,
                 JsonValue& into) {
  if (seeded) into["seed"] = prompt.request.seed;
  into["counts"] = {{"prompt", prompt.request.prompt.size()}, {"generated", generated}};
  if (prompt.dropped) into["dropped"] = {{"messages", prompt.dropped->messages}, {"tokens", prompt.dropped->tokens}};
  into["seconds"] = std::move(seconds);
  into["peak_bytes"] = ReadMemoryUse().peak_resident;
  if (run.common.quantize) into["quantize"] = run.common.quantize->name;
  if (!run.model.adapters().empty()) into["lora"] = AdaptersJson(run.model.adapters());
  if (run.common.compute == Compute::kFast) into["compute"] = NameOf(run.common.compute);
}

void PrintReply(const std::string& title, const GenerateResult& result, const ReplyJson& reply,
                const GenerateRun& run) {
  std::string text = result.text;
  if (!reply.has_text()) {
    for (const int32_t id : result.ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  } else if (run.details.echo) {
    text.insert(0, reply.PromptText());
  }
  if (!text.ends_with('\n')) text += '\n';
  run.out.Text("--- " + title + " (" + NameOf(result.reason) + ")\n" + text);
  run.out.Flush();
}

}  // namespace stablelm
