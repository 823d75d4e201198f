// The text of any frame, in a buffer of any size: never empty when there is room, and a shorter buffer gets its start.
#include <algorithm>
#include <array>
#include <leat/base/assert.hpp>
#include <leat/wire/pretty_print.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace leat::wire;
  const leat::ByteSpan bytes{data, size};
  std::array<char, 4 * kPrettyLength> text{};
  const std::size_t length = print_frame(bytes, text);
  LEAT_ASSERT(length > 0 && length <= text.size());
  std::array<char, 40> cut{};
  const std::size_t cut_length = print_frame(bytes, cut);
  LEAT_ASSERT(cut_length == std::min(length, cut.size()));
  LEAT_ASSERT(std::equal(cut.begin(), cut.begin() + static_cast<std::ptrdiff_t>(cut_length), text.begin()));
  LEAT_ASSERT(print_ip(bytes, size + 3000, text) > 0);
  return 0;
}
