#pragma once
// Tap: a TAP (Ethernet) or TUN (IP) interface of Linux as a device. The kernel's stack is on its other side. With the
// vnet header both sides pass super-segments of up to 64 KiB whole and leave checksums to the other, which never
// computes them: that is worth a factor of ten.
//
//   PacketPool pool(...);                       // with some 64 KiB chunks, to receive super-segments
//   TapProblem why;
//   Result<Tap> tap = Tap::open({.name = "leat0"}, pool, &why);
//   if (!tap) print(why.cause, why.fix);
//   netlink::add_address(tap->info().name_view(), ...);   // the kernel's side
//
// Each piece that the kernel refuses (vnet header, an offload, MTU, bringing it up) is done without, and info() says
// which; only what nothing works without is an error.
//
// Reading: where frames may be large, one read into a 64 KiB chunk; a frame that a 2 KiB one holds is copied there, so
// that the large chunk is used up only by what needs it. (A list of both chunks costs the kernel more than that copy.)
// When the pool has no large chunk free, a list of 2 KiB ones takes its place, and when it has none either, a small
// chunk of the control reserve lets ACKs in: without them nothing would ever become free. A frame that did not fit is
// dropped and counted.
// Writing: one write, the vnet header in the packet's headroom; head and fragments are copied together up to 2 KiB, a
// list above that. The kernel's "no room" is `full`; any other refusal (interface down, gone) drops the packet and
// counts it.
//
// Memory: as the pool's. Threading: one owner; queues of one interface are separate Taps and may have an owner each.

#include <array>
#include <leat/base/result.hpp>
#include <leat/device/descriptor.hpp>
#include <leat/device/device.hpp>
#include <span>
#include <string_view>

namespace leat {

struct TapOptions {
  std::string_view name{};             // empty: the kernel chooses; may hold %d
  LinkType link = LinkType::ethernet;  // ethernet: TAP; ip: TUN
  std::uint32_t mtu = 1500;            // 0: as it is
  std::uint32_t queue_packets = 4096;  // that the kernel keeps for us, more are lost; 0: as it is (500 for a new TAP)
  MacAddress mac{};                    // of our side, TAP only; zero: made from the kernel's
  bool vnet_header = true;             // what GSO and checksum offload stand on
  bool gso = true;
  bool checksum_offload = true;
  bool multi_queue = false;  // further queues by open_queue()
  bool up = true;            // bring the interface up
};

// What came of it.
struct TapInfo {
  std::array<char, 16> name{};
  bool vnet_header = false;
  bool checksum_offload = false;  // the kernel hands us unfinished checksums
  bool tso4 = false;              // and TCP super-segments
  bool tso6 = false;
  bool tso_ecn = false;
  bool multi_queue = false;
  bool mtu_set = false;
  bool queue_set = false;
  bool up = false;
  MacAddress kernel_mac;  // of the kernel's side
  [[nodiscard]] std::string_view name_view() const { return {name.data()}; }
};

// Why open() failed, for people. Constant texts.
struct TapProblem {
  std::string_view cause;
  std::string_view fix;
  int os_error = 0;
};

class Tap {
 public:
  // Errors: permission_denied, not_found (no TUN node), address_in_use (the name is another program's),
  // already_exists (the name is another kind of interface), invalid_argument (name, MTU), not_supported, io_error.
  [[nodiscard]] static Result<Tap> open(const TapOptions& options, PacketPool& pool, TapProblem* why = nullptr);
  // One more queue of the same interface, which was opened with multi_queue. The kernel spreads flows over queues.
  [[nodiscard]] Result<Tap> open_queue(PacketPool& pool, TapProblem* why = nullptr) const;

  [[nodiscard]] DeviceCaps caps() const { return caps_; }
  std::size_t rx(PacketBatch& batch, Instant now);
  std::size_t tx(PacketBatch& batch, Instant now);
  [[nodiscard]] Instant next_event() const { return Instant::never(); }
  [[nodiscard]] int poll_fd() const { return fd_.get(); }
  [[nodiscard]] DeviceCounters counters() const { return counters_; }

  [[nodiscard]] const TapInfo& info() const { return info_; }
  // What stands before each frame of the descriptor, for who reads it by himself.
  [[nodiscard]] std::uint32_t vnet_header_length() const { return vnet_length_; }
  // The errno value of the last read or write that failed for good; 0 when none did.
  [[nodiscard]] int last_error() const { return last_error_; }
  // The interface was deleted: nothing comes and goes any more.
  [[nodiscard]] bool gone() const;

 private:
  enum class Written : std::uint8_t { yes, full, refused };

  // Chunks that the next read may fill behind the head, kept from read to read.
  class Spares {
   public:
    Spares() = default;
    Spares(Spares&& o) noexcept
        : pool_(std::exchange(o.pool_, nullptr)), chunks_(o.chunks_), count_(std::exchange(o.count_, 0)) {}
    Spares& operator=(Spares&& o) noexcept;
    ~Spares() { clear(); }
    // Has them ready for frames of any size, as well as the pool allows.
    void prepare(PacketPool& pool);
    // Gives the first one away.
    void pop_front();
    void clear();
    [[nodiscard]] std::span<const ChunkRef> chunks() const { return {chunks_.data(), count_}; }

   private:
    PacketPool* pool_ = nullptr;
    std::array<ChunkRef, kMaxFragments> chunks_{};
    std::uint32_t count_ = 0;
  };

  Tap() = default;
  [[nodiscard]] static Result<Tap> attach(const TapOptions& options, TapInfo info, PacketPool& pool, TapProblem& why);
  void negotiate(const TapOptions& options);
  [[nodiscard]] Result<void> configure(const TapOptions& options, TapProblem& why);
  [[nodiscard]] bool prepare_buffers();
  [[nodiscard]] ssize_t read_frame(std::uint8_t* header, std::uint32_t& room);
  [[nodiscard]] Packet take_frame(std::uint32_t length);
  [[nodiscard]] Written write_packet(Packet& p);

  Descriptor fd_;
  PacketPool* pool_ = nullptr;
  Packet head_;     // what a small frame arrives in, or is copied to
  Packet landing_;  // a large chunk that the next read fills, where frames may be large
  Spares spares_;
  bool needs_spares_ = false;
  TapOptions options_;  // its name is not used
  std::uint32_t vnet_length_ = 0;
  DeviceCaps caps_;
  TapInfo info_;
  DeviceCounters counters_;
  int last_error_ = 0;
};
static_assert(NetDevice<Tap>);

}  // namespace leat
