#pragma once
// GsoSplitter: cuts a super-segment into the frames that go on the wire. A TCP super-segment is one packet whose
// headers stand contiguous at the begin of the head and whose payload follows, in the head and the fragments;
// meta().gso_size is the payload of each frame. UDP (gso_type udp): each frame is a datagram of its own.
//
//   GsoSplitter gso;
//   if (!gso.begin(std::move(super), {.linear = !caps.gather})) drop(super, ...);
//   while (gso.run(batch) == GsoSplitter::Progress::batch_full) send(batch);
//
// Frames point at the super-segment's payload (no copy), or with `linear` are one chunk each with the payload copied
// and summed in one pass. What changes per frame is IPv4 id and total length, IPv6 payload length, sequence number,
// flags (CWR only on the first: RFC 3168 6.1.2; FIN and PSH only on the last), UDP length and the checksums. Sums of
// all that stays are computed once, and no header is parsed twice.
//
// It is resumable: run() stops when the batch is full or the pool is empty and goes on where it was. It owns the
// super-segment until the last frame is out. Bounded: one frame per gso_size bytes. Threading: one owner.

#include <leat/buf/packet_batch.hpp>
#include <leat/offload/packet_layers.hpp>

namespace leat {

class GsoSplitter {
 public:
  struct Format {
    bool linear = false;            // one contiguous chunk per frame, for devices without gather
    bool checksum_offload = false;  // leave the transport checksum to the device (ChecksumState::to_fill)
  };
  enum class Progress : std::uint8_t {
    done,        // every frame is out; nothing is held
    batch_full,  // go on with room in the batch
    no_memory,   // go on when packets have returned to the pool; until then the super-segment is kept
  };

  // Takes a packet with meta().gso_size > 0 and right layer offsets. False, and `super` untouched, when its headers
  // are not what gso_type says. Nothing may be in progress.
  [[nodiscard]] bool begin(Packet&& super, Format format);
  Progress run(PacketBatch& out);
  [[nodiscard]] bool active() const { return static_cast<bool>(super_); }
  // Payload bytes that are not in a frame yet.
  [[nodiscard]] std::uint32_t remaining() const { return state_.left; }
  // Gives up what is left.
  void cancel() { super_.reset(); }

 private:
  static constexpr std::uint32_t kMaxHeaders = 160;  // Ethernet, two VLAN tags, IP and TCP with all options

  // What is the same in all frames, a value of its own so that it stays in registers while frames are written.
  struct Common {
    bool linear = false;
    bool checksum_offload = false;
    bool v6 = false;
    bool udp = false;
    std::uint16_t l3 = 0;
    std::uint16_t l4 = 0;
    std::uint16_t header = 0;  // link, IP and transport headers
    std::uint16_t gso_size = 0;
    std::uint16_t flags = 0;       // bytes 12 and 13 of the TCP header, of all frames but first and last
    std::uint16_t last_flags = 0;  // bits that only the last one carries
    // Sums, not folded.
    std::uint64_t ip_sum = 0;
    std::uint64_t pseudo_sum = 0;     // without length
    std::uint64_t transport_sum = 0;  // pseudo-header without length, and transport header
  };
  // What changes.
  struct State {
    std::uint32_t seq = 0;
    std::uint32_t left = 0;
    std::uint16_t id = 0;           // IPv4
    std::uint16_t first_flags = 0;  // bits that only the first frame carries
    // The place in the payload: the rest of the head (piece 0) or of fragment piece - 1.
    std::uint32_t piece = 0;
    std::uint32_t piece_left = 0;
    std::uint32_t piece_offset = 0;  // in the chunk
    ChunkRef piece_chunk = kNoChunk;
  };

  [[nodiscard]] bool measure_headers(const std::uint8_t* head, const PacketMeta& m);
  [[nodiscard]] Packet next_frame(const Common& c, std::uint32_t n) const;
  static void finish_headers(const Common& c, State& s, std::uint8_t* header, std::uint32_t n, Sum payload, bool last);
  void next_piece(State& s) const;
  [[nodiscard]] bool add_pieces(const Common& c, State& s, Packet& frame, std::uint32_t n, Sum& sum) const;

  Packet super_;
  Common common_;
  State state_;
  std::array<std::uint8_t, kMaxHeaders> headers_{};  // the first `header` bytes of the super-segment
};

// How many frames a packet is on the wire.
constexpr std::uint32_t wire_segments(const PacketMeta& m) {
  if (m.gso_size == 0 || m.length <= m.payload_offset) return 1;
  const std::uint32_t payload = m.length - m.payload_offset;
  return (payload + m.gso_size - 1) / m.gso_size;
}

}  // namespace leat
