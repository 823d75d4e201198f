#pragma once
// One visit of the egress to a connection. What leaves, and in which order, is decided in sender.cpp; how a segment is
// built and its headers written stands in segment_output.cpp. For these two files alone.
//
// Fairness: a visit sends at most kVisitBytes and goes to the end of the list (deficit round robin with a quantum of
// one super-segment). Pacing (departure times in meta().time) has its place in Visit::emit.
//
// Threading: one owner.

#include <leat/core/ip/frame_headers.hpp>
#include <leat/core/tcp/machine.hpp>

namespace leat::tcp {

inline constexpr std::uint32_t kVisitBytes = 65536;
inline constexpr std::uint32_t kCopyBytes = 128;   // fits behind the headroom of a small chunk
inline constexpr std::uint32_t kCopyDepth = 4096;  // so deep in the send queue a copy is found without a cursor
inline constexpr Sum kNotSummed = 0xffffffffU;     // of a payload that somebody else sums

enum class Outcome : std::uint8_t {
  done,     // nothing more to do now
  more,     // the batch is full, or the quantum is used up
  starved,  // a pool was empty
};

class Visit {
 public:
  Visit(Tcb& t, InterfaceId id, PacketBatch& batch) : t_(t), h_(t.hot), id_(id), batch_(batch) {}
  Outcome run();

 private:
  struct Piece {
    SeqNum seq{};
    std::uint32_t length = 0;
    wire::TcpFlags flags{};
    ChunkCursor* cursor = nullptr;
    bool early_ack = false;  // acknowledge `ack` instead of everything
    SeqNum ack{};
  };
  // Each returns false when the visit must stop; outcome_ says why.
  bool send_syn();
  bool resend();
  bool send_new();
  [[nodiscard]] bool send_usual();
  bool send_fin();
  bool send_probe();
  bool send_acks();
  bool send_duplicates(Active& a);
  [[nodiscard]] bool wait_for_reply();
  bool emit(const Piece& p, std::uint32_t& sent);
  bool emit_empty(SeqNum seq, wire::TcpFlags flags) {
    std::uint32_t sent = 0;
    return emit({.seq = seq, .flags = flags}, sent);
  }
  bool stop(Outcome o) {
    outcome_ = o;
    return false;
  }
  void count_data(std::uint32_t payload, std::uint32_t segments);
  Sum copy_payload(const Active& a, std::uint32_t offset, std::uint32_t length, Packet& to);
  [[nodiscard]] Packet build(const Piece& p, std::uint32_t& taken, Sum& sum);
  void add_header(Packet& packet, const Piece& p, wire::TcpFlags flags, std::uint32_t payload, Sum sum);
  [[nodiscard]] ip::HeaderMarks marks() const;
  [[nodiscard]] ip::SendInfo send_info() const;
  [[nodiscard]] bool only_acknowledges() const;
  [[nodiscard]] bool nothing_leaves() const;
  bool emit_ack(SeqNum ack);
  [[nodiscard]] bool prepared();
  void send_plain(Packet&& packet, SeqNum seq, SeqNum ack, wire::TcpFlags flags, Sum payload_sum);
  [[nodiscard]] std::size_t write_options(MutableByteSpan out);
  [[nodiscard]] std::uint32_t segment_size() const { return h_.mss > option_bytes_ ? h_.mss - option_bytes_ : 1; }
  [[nodiscard]] std::uint32_t largest() const;
  [[nodiscard]] bool partial_may_go(std::uint32_t n, std::uint32_t unsent) const;
  void hold_partial(Active& a);
  void restart_after_idle(Active& a);
  void note_reply();
  void begin_flight(Active* a) const;
  void acknowledged(SeqNum ack);
  void measure_options();
  [[nodiscard]] bool wants_data() const;
  void probe_if_held();
  void finish_visit();

  Tcb& t_;
  Hot& h_;
  InterfaceId id_;
  PacketBatch& batch_;
  CachedPath* cached_ = nullptr;
  const ip::Path* path_ = nullptr;
  ip::FrameHeaders* headers_ = nullptr;  // of the path; good when `asked_`
  bool asked_ = false;                   // with the first packet of the visit, as neighbours may change
  std::uint32_t sent_bytes_ = 0;
  std::uint32_t option_bytes_ = 0;  // SACK blocks that data segments carry now
  Outcome outcome_ = Outcome::done;
};

// Nothing was in flight, and now something is, or waits for the window: from here it counts when it stalls (RFC 5482),
// and what was asked for in silence before (keep-alive) is no try of it. Inline, as every request and reply begins so.
inline void Visit::begin_flight(Active* a) const {
  if (a != nullptr) a->stalled_since = tick_now(t_.core);
  if (h_.has(Flag::keep_alive)) t_.cold.retries = 0;
}

}  // namespace leat::tcp
