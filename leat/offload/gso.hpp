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
  [[nodiscard]] std::uint32_t remaining() const { return left_; }
  // Gives up what is left.
  void cancel() { super_.reset(); }

 private:
  [[nodiscard]] Packet next_frame(std::uint32_t n);
  void finish_headers(std::uint8_t* header, std::uint32_t n, Sum payload, bool last);
  template <class Visit>
  void take_payload(std::uint32_t n, Visit&& visit);
  [[nodiscard]] bool measure_headers(const std::uint8_t* head);

  Packet super_;
  Format format_;
  bool v6_ = false;
  bool udp_ = false;
  std::uint16_t l3_ = 0;
  std::uint16_t l4_ = 0;
  std::uint16_t header_ = 0;  // link, IP and transport headers
  std::uint16_t gso_size_ = 0;
  std::uint16_t id_ = 0;           // IPv4
  std::uint16_t flags_ = 0;        // bytes 12 and 13 of the TCP header, of all frames but first and last
  std::uint16_t first_flags_ = 0;  // bits that only the first frame carries
  std::uint16_t last_flags_ = 0;   // bits that only the last one carries
  std::uint32_t seq_ = 0;
  std::uint32_t left_ = 0;
  // Sums of what is the same in all frames, not folded.
  std::uint64_t ip_sum_ = 0;
  std::uint64_t pseudo_sum_ = 0;
  std::uint64_t transport_sum_ = 0;  // pseudo-header without length, and transport header
  // The place in the payload: the rest of the head (piece 0) or of fragment piece - 1.
  std::uint32_t piece_ = 0;
  std::uint32_t piece_offset_ = 0;
};

// How many frames a packet is on the wire.
constexpr std::uint32_t wire_segments(const PacketMeta& m) {
  if (m.gso_size == 0 || m.length <= m.payload_offset) return 1;
  const std::uint32_t payload = m.length - m.payload_offset;
  return (payload + m.gso_size - 1) / m.gso_size;
}

}  // namespace leat
