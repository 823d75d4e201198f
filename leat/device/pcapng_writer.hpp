#pragma once
// PcapngWriter: captures in the pcapng format (draft-ietf-opsawg-pcapng), little-endian on every machine, nanoseconds.
// It holds no host name, version or wall time, so that two runs with one seed give the same bytes. Where the bytes go
// is the owner's business: they leave through a delegate, several calls for one block, in order.
//
//   PcapngWriter capture(PcapngWriter::Output(write_to_file, &file), 128);
//   const std::uint32_t id = capture.add_interface(LinkType::ethernet, "tap0");
//   capture.packet(id, now, PcapngWriter::Direction::in, frame);
//
// Threading: one owner.

#include <leat/base/delegate.hpp>
#include <leat/base/link_type.hpp>
#include <leat/base/time.hpp>
#include <leat/buf/packet.hpp>
#include <string_view>

namespace leat {

class PcapngWriter {
 public:
  using Output = Delegate<void(ByteSpan)>;
  enum class Direction : std::uint8_t { in = 1, out = 2 };
  static constexpr std::uint32_t kWhole = 0x40000;  // more than any frame

  // Of each packet at most `snap_length` bytes are kept. `epoch` is added to the times: with the instants of a
  // monotonic clock, the difference to wall time; 0 where captures must be the same from run to run.
  explicit PcapngWriter(Output output, std::uint32_t snap_length = kWhole, Duration epoch = {});

  // Returns the interface's number in this capture. Names beyond 64 bytes are cut.
  std::uint32_t add_interface(LinkType link, std::string_view name = {});
  void packet(std::uint32_t interface, Instant time, Direction direction, const Packet& p);
  void packet(std::uint32_t interface, Instant time, Direction direction, ByteSpan bytes);
  [[nodiscard]] std::uint64_t packets() const { return packets_; }

 private:
  std::uint32_t begin_packet(std::uint32_t interface, Instant time, std::uint32_t length);
  void end_packet(std::uint32_t kept, Direction direction);

  Output output_;
  std::uint32_t snap_length_;
  Duration epoch_;
  std::uint32_t interfaces_ = 0;
  std::uint64_t packets_ = 0;
};

}  // namespace leat
