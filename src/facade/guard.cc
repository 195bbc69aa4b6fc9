#include "facade/guard.h"

#include <filesystem>
#include <new>
#include <system_error>

#include "base/error_kinds.h"
#include "model/pass_hooks.h"

namespace stablelm {
namespace {

[[noreturn]] void ThrowAs(ErrorKind kind, const Error& error) {
  const ErrorInfo& info = error.info();
  throw ModelError({.kind = kind,
                    .where = info.where,
                    .what = info.what,
                    .found = info.found,
                    .expected = info.expected,
                    .hint = info.hint});
}

}  // namespace

void RethrowForCaller(ErrorKind standard) {
  try {
    throw;
  } catch (const CallbackFailure& failure) {
    std::rethrow_exception(failure.cause);
  } catch (const UsageError& error) {
    ThrowAs(ErrorKind::kUsage, error);
  } catch (const OutOfMemory& error) {
    ThrowAs(ErrorKind::kOutOfMemory, error);
  } catch (const InvalidModel& error) {
    ThrowAs(ErrorKind::kInvalidModel, error);
  } catch (const PromptTooLong& error) {
    ThrowAs(ErrorKind::kPromptTooLong, error);
  } catch (const Error& error) {
    ThrowAs(standard, error);
  } catch (const Cancelled&) {
    throw ModelError({.kind = ErrorKind::kCancelled, .what = "cancelled by its stop token"});
  } catch (const std::bad_alloc&) {
    throw ModelError({.kind = ErrorKind::kOutOfMemory,
                      .what = "out of memory",
                      .hint = "free some memory, or load the model with smaller weights (LoadSettings::weights)"});
  } catch (const std::filesystem::filesystem_error& error) {
    throw ModelError({.kind = ErrorKind::kOther,
                      .where = error.path1().string(),
                      .what = error.code().message(),
                      .hint = "check the path and its permissions"});
  } catch (const std::system_error& error) {
    const bool again = error.code() == std::errc::resource_unavailable_try_again;  // no thread can be started
    throw ModelError(
        {.kind = ErrorKind::kOther,
         .what = error.what(),
         .hint = again ? "lower LoadSettings::threads, or raise the limit of threads: see `ulimit -u`" : ""});
  }
}

Turns::Turn::Turn(Turns& turns) : turns_(turns) {
  if (turns_.thread_ == std::this_thread::get_id()) {
    throw UsageError({.where = "callback",
                      .what = "calls the model that calls it",
                      .hint = "wait until the call has returned, or use another object of LanguageModel::Share"});
  }
  turns_.mutex_.lock();
  turns_.thread_ = std::this_thread::get_id();
}

Turns::Turn::~Turn() {
  turns_.thread_ = std::thread::id();
  turns_.mutex_.unlock();
}

}  // namespace stablelm
