#include <leat/sim/capture.hpp>

namespace leat::sim {

Capture::Capture(const std::string& path, std::uint32_t snap_length)
    : file_(path.empty() ? nullptr : std::fopen(path.c_str(), "wb")),
      failed_(!path.empty() && file_ == nullptr),
      writer_(PcapngWriter::Output::to<&Capture::write>(*this), snap_length) {}

bool Capture::close() {
  if (file_ != nullptr && std::fclose(file_.release()) != 0) failed_ = true;
  return !failed_;
}

void Capture::write(ByteSpan bytes) {
  for (const std::uint8_t b : bytes) hash_ = (hash_ ^ b) * 0x100000001b3U;
  if (file_ != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) failed_ = true;
}

}  // namespace leat::sim
