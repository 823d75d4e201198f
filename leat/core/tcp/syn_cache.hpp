#pragma once
// SynCache: half-open connections, 64 bytes each; no control block and no buffer exists before the handshake is
// complete. It keeps the schedule of SYN-ACK retransmissions: every record stands in the FIFO of its retry count, and
// as the delay of a count is constant, FIFO order is order of due time.
//
//   insert -> [FIFO 0] -> retransmit -> [FIFO 1] -> ... -> [FIFO n] -> expired
//                  \________ remove (ACK, RST, listener closed) ______/
//
// The flow table holds {syn_record, index}; the caller keeps it in step and counts records per listener.
// Limits of the packed record: 2^20 - 1 records, listener indices below 2^16, interface ids below 32 (others read back
// as 0: any). Complexity: O(1). Threading: one owner. A record is initialised by insert, so memory may be zero pages.
// Read RFC 4987 3.4.

#include <array>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/delegate.hpp>
#include <leat/base/index_list.hpp>
#include <leat/base/seq_num.hpp>
#include <leat/base/time.hpp>
#include <span>

namespace leat::tcp {

// What is known of a half-open connection.
struct SynInfo {
  FlowKey key{};
  SeqNum irs{};
  SeqNum iss{};
  std::uint32_t ts_recent = 0;     // meaningful with `timestamps`
  std::uint32_t sent_us = 0;       // without: when the only SYN-ACK left, as long as none was answered; 0: not known
  Index listener = 0;              // < 2^16
  std::uint16_t mss = 536;         // the peer's
  std::uint8_t wscale = kNoScale;  // the peer's shift; kNoScale: none offered
  std::uint8_t ecn = 0;            // 0..3, the caller's meaning
  bool sack = false;
  bool timestamps = false;
  bool acknowledged = false;  // by an ACK that was ignored: data is waited for
  static constexpr std::uint8_t kNoScale = 15;
};

class SynRecord {
 public:
  [[nodiscard]] FlowKey key() const { return {local_, remote_, local_port_, remote_port_, scope_}; }
  [[nodiscard]] bool matches(const FlowKey& k) const {
    return remote_ == k.remote && remote_port_ == k.remote_port && local_port_ == k.local_port && local_ == k.local &&
           scope_ == k.scope;
  }
  [[nodiscard]] SynInfo info() const;
  [[nodiscard]] SeqNum irs() const { return irs_; }
  [[nodiscard]] SeqNum iss() const { return iss_; }
  [[nodiscard]] Index listener() const { return c_ & 0xffffU; }
  [[nodiscard]] unsigned retries() const { return (a_ >> 20) & 31U; }  // SYN-ACKs sent again so far
  [[nodiscard]] bool acknowledged() const { return (a_ & kAcknowledged) != 0; }
  void set_acknowledged() { a_ |= kAcknowledged; }
  // RFC 7323 4.3: a duplicate SYN with a newer timestamp.
  void set_ts_recent(std::uint32_t ts) { ts_recent_ = ts; }
  // RFC 6298 3 (Karn): which SYN-ACK is answered, or when for the first time, is not known any more.
  void forget_sent() {
    if ((b_ & kTimestamps) == 0) ts_recent_ = 0;
  }

 private:
  friend class SynCache;
  static constexpr std::uint32_t kAcknowledged = 1U << 25;
  static constexpr std::uint32_t kTimestamps = 1U << 25;  // of b_
  IpAddress local_, remote_;
  SeqNum irs_, iss_;
  std::uint32_t ts_recent_;  // without timestamps: sent_us
  std::uint32_t a_;          // next 20 | retries 5 | acknowledged 1 | 4 unused | ecn 2
  std::uint32_t b_;          // prev 20 | wscale 4 | sack 1 | timestamps 1 | due high 6
  std::uint32_t c_;          // listener 16 | due low 16
  Port local_port_, remote_port_;
  Scope scope_;
  std::uint16_t mss_;
};
static_assert(sizeof(SynRecord) == 64);

enum class SynEvent : std::uint8_t {
  retransmit,  // send the SYN-ACK again; retries() counts this one
  expired,     // given up: take it out of the flow table; the record is free when the callback returns
};

class SynCache {
 public:
  static constexpr unsigned kMaxRetries = 16;
  using Callback = Delegate<void(Index, SynEvent)>;

  // Waits `rto` before the first retransmission, twice as long before each next one, `max_rto` at most; after `retries`
  // of them and one more wait a record expires.
  struct Schedule {
    Duration rto = Duration::s(1);
    Duration max_rto = Duration::s(120);  // 240 s at most
    unsigned retries = 5;                 // kMaxRetries at most
  };
  SynCache(std::span<SynRecord> records, const Schedule& schedule);
  void set_schedule(const Schedule& schedule);  // for waits that begin from now on

  // kNoIndex: full (answer with a cookie, or drop).
  [[nodiscard]] Index insert(const SynInfo& info, Instant now);
  void remove(Index record);
  // Its SYN-ACK left again, though no time was up: the wait begins anew. The count stays.
  void restart(Index record, Instant now);
  [[nodiscard]] SynRecord& operator[](Index i) { return records_[i]; }
  [[nodiscard]] const SynRecord& operator[](Index i) const { return records_[i]; }
  // The record that has waited longest without a retransmission (for making room); kNoIndex: empty.
  [[nodiscard]] Index oldest() const;

  // Handles at most `budget` due records in order of due time. The callback may remove any record but one reported
  // expired, and insert. Returns how many were handled.
  unsigned advance(Instant now, unsigned budget, Callback callback) {
    return used_ == 0 ? 0 : handle_due(now, budget, callback);
  }
  [[nodiscard]] Instant next_deadline() const { return used_ == 0 ? Instant::never() : due(first_due()); }

  // fn(index) for each record of a listener; it may remove that record. O(records).
  template <class Fn>
  void for_each_of(Index listener, Fn&& fn) {
    for (Fifo& fifo : fifos_) {
      for (std::uint32_t i = fifo.head; i != kEnd;) {
        const std::uint32_t following = next(i);
        if (records_[i].listener() == listener) fn(Index{i});
        i = following;
      }
    }
  }
  [[nodiscard]] std::uint32_t size() const { return used_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  void check_invariants() const;

 private:
  static constexpr std::uint32_t kEnd = 0xfffff;
  struct Fifo {
    std::uint32_t head = kEnd, tail = kEnd;
  };
  [[nodiscard]] std::uint32_t next(std::uint32_t i) const { return records_[i].a_ & kEnd; }
  [[nodiscard]] std::uint32_t prev(std::uint32_t i) const { return records_[i].b_ & kEnd; }
  void set_next(std::uint32_t i, std::uint32_t to);
  void set_prev(std::uint32_t i, std::uint32_t to);
  void enqueue(std::uint32_t i, unsigned retries, Instant now);
  void dequeue(std::uint32_t i);
  void release(std::uint32_t i);
  unsigned handle_due(Instant now, unsigned budget, Callback callback);
  [[nodiscard]] Duration delay(unsigned retries) const;
  [[nodiscard]] Instant due(std::uint32_t i) const;
  [[nodiscard]] std::uint32_t first_due() const;  // kEnd: empty

  std::span<SynRecord> records_;
  std::uint32_t capacity_;
  std::uint32_t watermark_ = 0;
  std::uint32_t used_ = 0;
  std::uint32_t free_ = kEnd;
  Instant clock_;  // the last `now`: due times are read relative to it
  Schedule schedule_;
  std::array<Fifo, kMaxRetries + 1> fifos_{};
  std::uint32_t occupied_ = 0;  // bit n: FIFO n is not empty
};

}  // namespace leat::tcp
