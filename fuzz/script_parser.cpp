// Any text is either a script or one error with its place.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <leat/script/parser.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{static_cast<const char*>(static_cast<const void*>(data)), size};
  const auto result = leat::script::parse("fuzz", text);
  if (result && result.script.events.empty()) std::abort();
  if (!result && (result.error->message.empty() || result.error->at.line == 0)) std::abort();
  return 0;
}
