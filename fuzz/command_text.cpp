// The words of a command line: quantities, devices, addresses, impairments, options. Each is a value within its bounds
// or a Failure of one line. The first byte chooses, and an option by its number.
#include <cstdlib>
#include <tools/plan.hpp>
#include <tools/text.hpp>

namespace {

using namespace leat;         // NOLINT(google-build-using-namespace)
using namespace leat::tools;  // NOLINT(google-build-using-namespace)

void read(unsigned kind, std::string_view text) {
  switch (kind % 12) {
    case 0:
      (void)parse_size(text);
      return;
    case 1:
      if (const auto d = parse_duration(text); d && *d < Duration{}) std::abort();
      return;
    case 2:
      if (const auto ppm = parse_ppm(text); ppm && *ppm > 1'000'000) std::abort();
      return;
    case 3:
      (void)parse_number(text);
      return;
    case 4:
      if (parse_device(text).name.size() > 15) std::abort();
      return;
    case 5: {
      const IpPrefix p = parse_interface_address(text, "--ip");
      if (p.length > (p.address.is_v4() ? 32 : 128)) std::abort();
      // What is written out reads back the same.
      if (parse_interface_address(AddressText(p).view(), "--ip") != p) std::abort();
      return;
    }
    case 6:
      (void)parse_prefix(text, "to");
      return;
    case 7:
      if (parse_mac(AddressText(parse_mac(text, "--mac")).view(), "--mac") != parse_mac(text, "--mac")) std::abort();
      return;
    case 8: {
      const ImpairmentConfig c = parse_impairment(text);
      if (c.loss_ppm > 1'000'000 || c.delay < Duration{} || c.jitter < Duration{}) std::abort();
      return;
    }
    case 9:
      (void)parse_option_name(text);
      return;
    default: {
      const auto id = static_cast<OptionId>(kind / 12 % kOptions);
      const OptionInfo& info = option_info(id);
      const std::int64_t value = parse_option_value(id, text);
      if (value < info.minimum || value > info.maximum) std::abort();
      return;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text{static_cast<const char*>(static_cast<const void*>(data + 2)), size - 2};
  try {
    read(static_cast<unsigned>(data[0]) << 8 | data[1], text);
  } catch (const Failure& failure) {
    if (std::string_view(failure.what()).find('\n') != std::string_view::npos) std::abort();
  }
  return 0;
}
