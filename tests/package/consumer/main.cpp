// A program outside the tree: the Internet checksum of a message and the checksum's own sum, which is zero when intact.
#include <array>
#include <leat/base/checksum.hpp>

int main() {
  std::array<std::uint8_t, 4> message = {0x12, 0x34, 0, 0};
  const std::uint16_t sum = leat::checksum_finish(leat::checksum_add(0, message));
  message[2] = static_cast<std::uint8_t>(sum >> 8);
  message[3] = static_cast<std::uint8_t>(sum & 0xff);
  return leat::checksum_finish(leat::checksum_add(0, message)) == 0 ? 0 : 1;
}
