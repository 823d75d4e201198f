#pragma once
// Gro: merges what a device delivered in one burst. Consecutive in-order segments of one TCP connection become one
// packet, whose first segment's headers tell all: sum of lengths, newest acknowledgement with its window, last
// timestamps, PSH when one of them had it. So the core handles up to 19 segments at the price of one.
//
//   Gro gro(LinkType::ethernet);
//   device.rx(batch, now);
//   gro.merge(batch);
//
// A batch of one is left alone. Else the batch holds what is left, in order; every TCP and UDP packet in it has its
// layer offsets set and, when its checksum is right, ChecksumState::verified: but TCP segments without payload, which
// merge with nothing, are left to the core to verify. Packets that are damaged or odd in any way stay as they were, and
// the core names the reason when it drops them.
//
// What merges: segments with only ACK and PSH set and payload, no IP options or extension headers, no TCP options but
// timestamps in the usual form, the same addresses, ports, DSCP, hop limit and flow label, that follow each other by
// sequence number, with acknowledgement and timestamp that don't run backwards. All have the same size but the last,
// which may be smaller, so that GSO cuts the packet into the same segments again. Segments with CE merge with ECT
// ones: meta().ce_marks counts them, and the merged header carries CE (RFC 3168 5.3). Anything else of the same
// connection (a pure ACK, FIN, SACK blocks) ends its packet, so that order within a connection stays. Order between
// connections may change.
//
// Bounded: kFlows connections at a time (the oldest gives way), kMaxFragments and 65,535 bytes a packet. No state
// outlives a call but the counters. Threading: one owner.

#include <leat/base/link_type.hpp>
#include <leat/buf/packet_batch.hpp>

namespace leat {

struct GroCounters {
  std::uint64_t packets = 0;        // looked at
  std::uint64_t merged = 0;         // gone into another packet
  std::uint64_t bad_checksums = 0;  // IPv4 header, TCP or UDP
};

class Gro {
 public:
  static constexpr std::size_t kFlows = 16;
  explicit Gro(LinkType link) : link_(link) {}
  void merge(PacketBatch& batch);
  [[nodiscard]] const GroCounters& counters() const { return counters_; }

 private:
  LinkType link_;
  GroCounters counters_;
};

}  // namespace leat
