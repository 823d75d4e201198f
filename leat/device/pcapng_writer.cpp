#include <algorithm>
#include <array>
#include <leat/base/assert.hpp>
#include <leat/device/pcapng_writer.hpp>

namespace leat {
namespace {

// Fields of a block, little-endian.
class Block {
 public:
  void u8(std::uint8_t v) { bytes_[size_++] = v; }
  void u16(std::uint32_t v) {
    u8(static_cast<std::uint8_t>(v));
    u8(static_cast<std::uint8_t>(v >> 8));
  }
  void u32(std::uint32_t v) {
    u16(v & 0xffff);
    u16(v >> 16);
  }
  void bytes(std::string_view text) {
    for (const char c : text) u8(static_cast<std::uint8_t>(c));
  }
  void pad() {
    while (size_ % 4 != 0) u8(0);
  }
  // Fills in the total length, in front and at the end, and gives the block away.
  void finish(const PcapngWriter::Output& output) {
    const auto total = static_cast<std::uint32_t>(size_ + 4);
    for (unsigned i = 0; i < 4; ++i) bytes_[4 + i] = static_cast<std::uint8_t>(total >> (8 * i));
    u32(total);
    give(output);
  }
  void give(const PcapngWriter::Output& output) { output(ByteSpan{bytes_.data(), size_}); }

 private:
  std::array<std::uint8_t, 128> bytes_{};
  std::size_t size_ = 0;
};

constexpr std::uint32_t kEthernet = 1;
constexpr std::uint32_t kRawIp = 101;
constexpr std::uint32_t kHeaderLength = 28;   // of an enhanced packet block
constexpr std::uint32_t kTrailerLength = 16;  // flags option, end of options, total length

constexpr std::uint32_t padded(std::uint32_t n) {
  return (n + 3) & ~3U;
}

}  // namespace

PcapngWriter::PcapngWriter(Output output, std::uint32_t snap_length, Duration epoch)
    : output_(output), snap_length_(snap_length), epoch_(epoch) {
  Block section;
  section.u32(0x0a0d0d0a);
  section.u32(0);
  section.u32(0x1a2b3c4d);  // byte order
  section.u16(1);           // version 1.0
  section.u16(0);
  section.u32(0xffffffff);  // the section's length is not known
  section.u32(0xffffffff);
  section.finish(output_);
}

std::uint32_t PcapngWriter::add_interface(LinkType link, std::string_view name) {
  Block interface;
  interface.u32(1);
  interface.u32(0);
  interface.u16(link == LinkType::ethernet ? kEthernet : kRawIp);
  interface.u16(0);
  interface.u32(snap_length_);
  name = name.substr(0, 64);
  if (!name.empty()) {
    interface.u16(2);  // if_name
    interface.u16(static_cast<std::uint32_t>(name.size()));
    interface.bytes(name);
    interface.pad();
  }
  interface.u16(9);  // if_tsresol: 10^-9 s
  interface.u16(1);
  interface.u8(9);
  interface.pad();
  interface.u32(0);  // end of options
  interface.finish(output_);
  return interfaces_++;
}

// Returns how many bytes of the packet are to follow.
std::uint32_t PcapngWriter::begin_packet(std::uint32_t interface, Instant time, std::uint32_t length) {
  LEAT_ASSERT(interface < interfaces_);
  ++packets_;
  const std::uint32_t kept = std::min(length, snap_length_);
  const auto ns = static_cast<std::uint64_t>((time + epoch_).count_ns());
  Block block;
  block.u32(6);
  block.u32(kHeaderLength + padded(kept) + kTrailerLength);
  block.u32(interface);
  block.u32(static_cast<std::uint32_t>(ns >> 32));
  block.u32(static_cast<std::uint32_t>(ns));
  block.u32(kept);
  block.u32(length);
  block.give(output_);
  return kept;
}

void PcapngWriter::end_packet(std::uint32_t kept, Direction direction) {
  Block block;
  for (std::uint32_t i = kept; i < padded(kept); ++i) block.u8(0);
  block.u16(2);  // epb_flags
  block.u16(4);
  block.u32(static_cast<std::uint32_t>(direction));
  block.u32(0);  // end of options
  block.u32(kHeaderLength + padded(kept) + kTrailerLength);
  block.give(output_);
}

void PcapngWriter::packet(std::uint32_t interface, Instant time, Direction direction, const Packet& p) {
  const std::uint32_t kept = begin_packet(interface, time, p.size());
  std::uint32_t left = kept;
  p.for_each_piece(0, [&](ByteSpan piece) {
    const auto n = std::min<std::size_t>(left, piece.size());
    if (n > 0) output_(piece.first(n));
    left -= static_cast<std::uint32_t>(n);
  });
  end_packet(kept, direction);
}

void PcapngWriter::packet(std::uint32_t interface, Instant time, Direction direction, ByteSpan bytes) {
  const std::uint32_t kept = begin_packet(interface, time, static_cast<std::uint32_t>(bytes.size()));
  if (kept > 0) output_(bytes.first(kept));
  end_packet(kept, direction);
}

}  // namespace leat
