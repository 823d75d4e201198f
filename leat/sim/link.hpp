#pragma once
// Link: a cable between two hosts that may be long, slow, full and bad. Each direction is an Impairment of its own
// (device/impairment.hpp). What is on its way stands in memory of the link, so that a long line doesn't eat a host's
// pool; a frame is copied onto the line and off it, as a network card does. A frame that finds the receiver's pool
// empty is dropped and counted there.
//
// Deterministic: what happens to a frame depends on the seed and on the frames before it, not on batches.
// Threading: one owner, the world.

#include <leat/device/device.hpp>
#include <leat/device/impairment.hpp>
#include <memory>
#include <vector>

namespace leat::sim {

struct LinkConfig {
  LinkType link = LinkType::ethernet;
  std::uint32_t mtu = 1500;
  ImpairmentConfig there;          // from the first host to the second
  ImpairmentConfig back;           // and the other way
  std::uint32_t in_flight = 4096;  // frames on their way in one direction, at most
  bool software_gro = true;        // whether hosts merge what they receive
};

class Link {
 public:
  // One end: the network device of a host.
  class End {
   public:
    [[nodiscard]] DeviceCaps caps() const;
    std::size_t rx(PacketBatch& batch, Instant now);
    std::size_t tx(PacketBatch& batch, Instant now);
    [[nodiscard]] Instant next_event() const { return in_->next_event(); }
    [[nodiscard]] int poll_fd() const { return -1; }
    [[nodiscard]] DeviceCounters counters() const { return counters_; }

   private:
    friend class Link;
    End(Link& link, Impairment& out, Impairment& in, PacketPool& pool, MacAddress mac)
        : link_(&link), out_(&out), in_(&in), pool_(&pool), mac_(mac) {}
    Link* link_;
    Impairment* out_;
    Impairment* in_;
    PacketPool* pool_;  // of the host that this end belongs to
    MacAddress mac_;
    DeviceCounters counters_;
  };

  // `number` tells links of a world apart: it is part of their seeds and addresses.
  Link(const LinkConfig& config, std::uint64_t seed, unsigned number, PacketPool& first, PacketPool& second);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  [[nodiscard]] End& first() { return first_; }
  [[nodiscard]] End& second() { return second_; }
  [[nodiscard]] Impairment& there() { return there_; }
  [[nodiscard]] Impairment& back() { return back_; }
  [[nodiscard]] const LinkConfig& config() const { return config_; }
  // A partition: everything that enters is lost until it heals.
  void set_down(bool down) {
    there_.set_down(down);
    back_.set_down(down);
  }
  void check_invariants() const;

 private:
  LinkConfig config_;
  PoolLayout layout_;
  std::unique_ptr<std::uint8_t[]> region_;
  PacketPool pool_;
  std::vector<DelaySlot> there_slots_;
  std::vector<DelaySlot> back_slots_;
  Impairment there_;
  Impairment back_;
  End first_;
  End second_;
};
static_assert(NetDevice<Link::End>);

}  // namespace leat::sim
