#include "form.hpp"

#include <array>
#include <leat/base/assert.hpp>

#include "failure.hpp"
#include "text.hpp"

namespace leat::tools {

Form parse_form(std::string_view text) {
  constexpr std::array<std::string_view, 4> kNames{"event", "posix", "channel", "coroutine"};
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (text == kNames[i]) return static_cast<Form>(i);
  const std::string hint = did_you_mean(text, kNames);
  throw Failure(cat("--form: '", text, "' is no form"),
                hint.empty() ? "take event, posix, channel or coroutine" : hint);
}

std::unique_ptr<FormCalls> make_form(Form form, std::shared_ptr<SharedStack> stack) {
  switch (form) {
    case Form::posix:
      return make_posix_form(std::move(stack));
    case Form::channel:
      return make_channel_form(std::move(stack));
    case Form::coroutine:
      return make_coroutine_form(std::move(stack));
    case Form::event:
      break;
  }
  LEAT_ASSERT(false);
  return nullptr;
}

}  // namespace leat::tools
