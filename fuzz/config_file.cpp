// Any configuration file is a plan or one line that begins with file:line:column.
#include <cstdlib>
#include <tools/config_file.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{static_cast<const char*>(static_cast<const void*>(data)), size};
  leat::tools::Plan plan;
  try {
    leat::tools::read_config(text, "fuzz", plan);
  } catch (const leat::tools::Failure& failure) {
    const std::string_view said = failure.what();
    std::size_t at = 0;
    for (int number = 0; number < 2; ++number) {
      at = said.find(':', at) + 1;
      if (at == 0 || at >= said.size() || said[at] < '1' || said[at] > '9') std::abort();
    }
    if (!said.starts_with("fuzz:") || said.find('\n') != std::string_view::npos) std::abort();
    return 0;
  }
  for (const auto& interface : plan.interfaces)
    if (interface.mtu != 0 && (interface.mtu < 68 || interface.mtu > 65535)) std::abort();
  return 0;
}
