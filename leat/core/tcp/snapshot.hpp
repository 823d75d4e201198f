#pragma once
// A connection outside of its stack: everything that its peer could notice, as plain values, and the octets of its
// queues. Hot restart and migration stand on it; tests take connections apart and put them together with it.
//
//   std::vector<std::uint8_t> bytes(snapshot_bytes(core, c));
//   Snapshot s = snapshot(core, c, bytes);                       // reads only: the connection goes on
//   Result<Handle> h = restore(other, s, bytes, owner);
//
// What is in flight counts as lost after a restore: it is sent again. Out-of-order payload is not taken along: it was
// never acknowledged, the peer has it still. Only synchronized connections that are in the flow table can be taken.
// Threading: the owner of the shard.

#include <leat/base/address.hpp>
#include <leat/base/bytes.hpp>
#include <leat/base/index_list.hpp>
#include <leat/base/result.hpp>
#include <leat/core/tcp/state.hpp>
#include <leat/op/handle.hpp>

namespace leat {
struct Core;
}

namespace leat::tcp {

struct Snapshot {
  static constexpr std::uint16_t kVersion = 2;
  std::uint16_t version = kVersion;
  TcpState state = TcpState::closed;
  FlowKey key;
  std::uint32_t iss = 0, irs = 0, snd_una = 0, snd_nxt = 0, snd_wnd = 0, snd_wl1 = 0, rcv_nxt = 0, rcv_adv = 0;
  std::uint16_t peer_mss = 0, max_window = 0;
  std::uint8_t snd_shift = 0, rcv_shift = 0;
  std::uint8_t backoff = 0;  // doublings of the retransmission time-out
  bool timestamps = false, sack = false, window_scaling = false, fin_queued = false, fin_sent = false;
  bool lost_syn = false;  // RFC 6298 5.7: it was sent again, and no round trip was measured since
  std::uint32_t ts_recent = 0;
  std::uint32_t ts_now = 0;  // our timestamp clock, so that it goes on from there
  std::uint32_t cwnd = 0, ssthresh = 0, srtt_us = 0, rttvar_us = 0, min_rtt_us = 0, w_max = 0;
  std::uint32_t send_bytes = 0;     // first in the octets
  std::uint32_t receive_bytes = 0;  // behind them
  bool operator==(const Snapshot&) const = default;
};

[[nodiscard]] std::size_t snapshot_bytes(const Core& core, Index connection);
// Errc::wrong_state for a connection that can't be taken, Errc::invalid_argument when `bytes` is too small.
[[nodiscard]] Result<Snapshot> snapshot(Core& core, Index connection, MutableByteSpan bytes);
// A new stream socket with this connection. Errc::invalid_argument for values that contradict each other,
// Errc::address_in_use when the flow exists, Errc::no_memory or no_buffers when something is exhausted.
[[nodiscard]] Result<Handle> restore(Core& core, const Snapshot& s, ByteSpan bytes, std::uint8_t owner);

}  // namespace leat::tcp
