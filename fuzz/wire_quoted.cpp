// Packets quoted by ICMP errors, cut anywhere.
#include <leat/wire/quoted.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto quoted = leat::wire::parse_quoted({data, size});
  LEAT_ASSERT(!quoted || size >= 20);
  if (!quoted) return 0;
  LEAT_ASSERT(quoted->transport.size() < size);
  LEAT_ASSERT(quoted->first_part || quoted->transport.empty());
  if (quoted->has_ports()) {
    const std::uint8_t* p = quoted->transport.data();
    LEAT_ASSERT(p + quoted->transport.size() == data + size);
    LEAT_ASSERT(quoted->source_port().value() == leat::load_be16(p));
  }
  return 0;
}
