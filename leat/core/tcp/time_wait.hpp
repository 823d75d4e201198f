#pragma once
// TIME-WAIT: 64 bytes per connection that has ended, in a FIFO by expiry. All waits have one length, so a restarted one
// goes to the tail and the FIFO stays sorted; no timer node is needed.
//
// The flow table holds {time_wait, index}; the caller keeps it in step. When no record is free the caller ends the
// oldest: a server under load never refuses to close. Complexity: O(1). Threading: one owner. A record is initialised
// by add, so memory may be zero pages. Read RFC 9293 3.6.1, 3.10.7.4, RFC 6191, RFC 1337, RFC 7323 5.

#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/delegate.hpp>
#include <leat/base/index_list.hpp>
#include <leat/base/seq_num.hpp>
#include <leat/base/time.hpp>
#include <span>

namespace leat::tcp {

// What TIME-WAIT keeps of a connection.
struct TimeWaitInfo {
  FlowKey key{};
  SeqNum snd_nxt{};
  SeqNum rcv_nxt{};             // behind the peer's FIN
  std::uint32_t ts_recent = 0;  // meaningful with `timestamps`
  std::uint32_t rcv_wnd = 0;    // bytes, for the window that re-sent ACKs show
  std::uint8_t wscale = 0;      // of our window, 0..14
  bool timestamps = false;
  bool reuse_address = false;  // options of its socket: who binds to the port asks
  bool reuse_port = false;
};

struct TimeWaitRecord {
  IpAddress local, remote;
  Port local_port, remote_port;
  Scope scope;
  std::uint8_t wscale_flags;  // wscale 4, timestamps 1, reuse_address 1, reuse_port 1
  std::uint8_t window;        // the window field of an ACK, in units of 256
  SeqNum snd_nxt, rcv_nxt;
  std::uint32_t ts_recent;
  std::uint32_t expiry;  // ms modulo 2^32
  IndexLink link;

  [[nodiscard]] FlowKey key() const { return {local, remote, local_port, remote_port, scope}; }
  [[nodiscard]] bool matches(const FlowKey& k) const {
    return remote == k.remote && remote_port == k.remote_port && local_port == k.local_port && local == k.local &&
           scope == k.scope;
  }
  [[nodiscard]] bool timestamps() const { return (wscale_flags & 0x10) != 0; }
  [[nodiscard]] bool reuse_address() const { return (wscale_flags & 0x20) != 0; }
  [[nodiscard]] bool reuse_port() const { return (wscale_flags & 0x40) != 0; }
  // The window field of a re-sent ACK, and what it means in bytes.
  [[nodiscard]] std::uint16_t window_field() const { return static_cast<std::uint16_t>(window << 8); }
  [[nodiscard]] std::uint32_t rcv_wnd() const { return std::uint32_t{window_field()} << (wscale_flags & 15U); }
};
static_assert(sizeof(TimeWaitRecord) == 64);

// What a segment for a connection in TIME-WAIT says.
struct TimeWaitSegment {
  SeqNum seq{};
  SeqNum ack{};
  std::uint32_t payload = 0;  // octets of data, SYN and FIN not counted
  bool syn = false, fin = false, rst = false, has_ack = false;
  bool has_timestamp = false;
  std::uint32_t tsval = 0;
};

enum class TimeWaitVerdict : std::uint8_t {
  ignore,
  re_ack,          // answer with an ACK (rate-limited, as challenge ACKs are)
  re_ack_restart,  // the peer's FIN again: answer and restart the wait
  reuse,           // a new incarnation: end the record, take the SYN as for a listener
  end,             // reset: end the record
};

// RFC 9293 3.10.7.4 for the state TIME-WAIT. May advance the record's ts_recent. `ignore_rst`: RFC 1337 3 (F1).
[[nodiscard]] TimeWaitVerdict time_wait_verdict(TimeWaitRecord& record, const TimeWaitSegment& segment,
                                                bool ignore_rst);
// RFC 9293 3.6.1: the ISS of an incarnation that reuses the pair must be beyond what the old one used.
[[nodiscard]] SeqNum reuse_iss(const TimeWaitRecord& record, SeqNum generated);

class TimeWaitTable {
 public:
  explicit TimeWaitTable(std::span<TimeWaitRecord> records)
      : records_(records), pool_(static_cast<std::uint32_t>(records.size())) {}

  // kNoIndex when full: end `oldest()` and add again. `length` is 240 s at most.
  [[nodiscard]] Index add(const TimeWaitInfo& info, Instant now, Duration length);
  void restart(Index record, Instant now, Duration length);
  void remove(Index record);
  [[nodiscard]] TimeWaitRecord& operator[](Index i) { return records_[i]; }
  [[nodiscard]] const TimeWaitRecord& operator[](Index i) const { return records_[i]; }
  [[nodiscard]] Index oldest() const { return fifo_.front(); }  // kNoIndex: empty; then by `link.next`

  // Ends at most `budget` expired records; expired(index) is called while the record can still be read and must not
  // remove it. Returns how many.
  unsigned advance(Instant now, unsigned budget, Delegate<void(Index)> expired) {
    if (!fifo_.empty()) return end_expired(now, budget, expired);
    if (now > clock_) clock_ = now;
    return 0;
  }
  [[nodiscard]] Instant next_deadline() const {
    return fifo_.empty() ? Instant::never() : expiry(records_[fifo_.front()]);
  }

  [[nodiscard]] std::uint32_t size() const { return pool_.used(); }
  [[nodiscard]] std::uint32_t capacity() const { return pool_.capacity(); }
  void check_invariants() const;

 private:
  auto links() {
    return [this](Index i) -> IndexLink& { return records_[i].link; };
  }
  [[nodiscard]] Instant expiry(const TimeWaitRecord& record) const;
  unsigned end_expired(Instant now, unsigned budget, Delegate<void(Index)> expired);

  std::span<TimeWaitRecord> records_;
  IndexPool pool_;
  IndexList fifo_;
  Instant clock_;  // the last `now`: expiries are read relative to it
};

}  // namespace leat::tcp
