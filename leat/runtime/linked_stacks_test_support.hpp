#pragma once
// Two shared stacks on one wire in memory, for tests with real threads: each end is fed by threads of the other side,
// so the wire is two frame rings with bells (rule 11 of the shared stack).

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <leat/device/device.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/shard_token.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <leat/sync/frame_ring_unsafe.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace leat::test {

// One end of the wire. Loses every frame while `cut`.
class WireEnd {
 public:
  static constexpr sync::FrameRing::Layout kLayout{.slots = 256, .frame_bytes = 1600};
  WireEnd(PacketPool& pool, sync::FrameRing in, sync::FrameRing out, int my_bell, int their_bell)
      : pool_(&pool), in_(in), out_(out), my_bell_(my_bell), their_bell_(their_bell) {}

  [[nodiscard]] DeviceCaps caps() const {
    return {.link = LinkType::ip, .mtu = 1500, .gather = true, .rx_level = plain};
  }
  std::size_t rx(PacketBatch& batch, Instant now) {
    std::size_t n = 0;
    while (!batch.full()) {
      const auto frame = in_.front();
      if (!frame) break;
      Packet p = pool_->allocate_for(static_cast<std::uint32_t>(frame->size()));
      if (!p) break;
      std::ranges::copy(*frame, p.append(static_cast<std::uint32_t>(frame->size())).begin());
      in_.release();
      p.meta().time = now;
      batch.push(std::move(p));
      ++n;
    }
    counters_.rx_packets += n;
    return n;
  }
  std::size_t tx(PacketBatch& batch, Instant) {
    std::size_t n = 0;
    for (; n < batch.size(); ++n) {
      const Packet& p = batch[n];
      if (cut.load(std::memory_order_relaxed)) {
        ++counters_.tx_dropped;
        continue;
      }
      const MutableByteSpan to = out_.reserve();
      if (to.empty()) break;
      std::size_t at = 0;
      p.for_each_piece(0, [&](ByteSpan piece) {
        std::ranges::copy(piece, to.begin() + static_cast<std::ptrdiff_t>(at));
        at += piece.size();
      });
      out_.publish(static_cast<std::uint32_t>(at));
    }
    counters_.tx_packets += n;
    if (n > 0 && out_.must_ring()) {
      const std::uint64_t one = 1;
      (void)!::write(their_bell_, &one, sizeof one);
    }
    batch.pop_front(n);
    return n;
  }
  [[nodiscard]] Instant next_event() const { return Instant::never(); }
  [[nodiscard]] int poll_fd() const { return my_bell_; }
  [[nodiscard]] DeviceCounters counters() const { return counters_; }
  bool before_sleep() { return in_.before_sleep(); }
  void after_sleep() {
    in_.after_sleep();
    std::uint64_t value = 0;
    (void)!::read(my_bell_, &value, sizeof value);
  }

  std::atomic<bool> cut{false};
  bool plain = false;  // poses as a device whose descriptor may be watched as it is

 private:
  PacketPool* pool_;
  sync::FrameRing in_, out_;
  int my_bell_, their_bell_;
  DeviceCounters counters_;
};

class LinkedStacks {
 public:
  explicit LinkedStacks(SharedStackOptions options = {}, bool plain = false)
      : memory_(2 * WireEnd::kLayout.bytes_needed() + 64) {
    options.check_invariants = true;
    options.packet_memory = std::size_t{16} << 20;
    options.limits = hosted_limits(256);
    auto* base = memory_.data();
    base += (64 - reinterpret_cast<std::uintptr_t>(base) % 64) % 64;
    const std::size_t bytes = WireEnd::kLayout.bytes_needed();
    const std::array<MutableByteSpan, 2> regions{MutableByteSpan{base, bytes}, MutableByteSpan{base + bytes, bytes}};
    std::array<std::array<sync::FrameRing, 2>, 2> rings;  // [direction][writer, reader]
    for (std::size_t i = 0; i < 2; ++i) {
      bell[i] = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
      rings[i][0] = sync::FrameRing(regions[i], WireEnd::kLayout, true);
      rings[i][1] = sync::FrameRing(regions[i], WireEnd::kLayout, false);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      options.entropy = seeded_entropy(1 + i);
      stack[i] = SharedStack::make(options).value();
      end[i] = std::make_unique<WireEnd>(stack[i]->pool(), rings[1 - i][1], rings[i][0], bell[i], bell[1 - i]);
      end[i]->plain = plain;
      device_[i] = std::make_unique<DeviceRef<WireEnd>>(*end[i]);
      const std::array addresses{IpPrefix{address(i), 24}};
      EXPECT_TRUE(stack[i]->attach(*device_[i], {.name = i == 0 ? "a" : "b"}, addresses));
    }
  }
  ~LinkedStacks() {
    for (auto& s : stack)
      if (s) s->stop();
    for (auto& s : stack) s.reset();
    for (const int fd : bell) ::close(fd);
  }

  static IpAddress address(std::size_t host) { return IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(1 + host)); }

  std::array<int, 2> bell{-1, -1};
  std::array<std::shared_ptr<SharedStack>, 2> stack;  // 0 is called client, 1 server
  std::array<std::unique_ptr<WireEnd>, 2> end;

 private:
  std::vector<std::uint8_t> memory_;
  std::array<std::unique_ptr<DeviceRef<WireEnd>>, 2> device_;
};

// --- calls in one line, blocking ---

inline Handle open_stream(Service& s) {
  Op op;
  op.open(SocketKind::stream);
  s.run(op);
  EXPECT_EQ(op.error, Errc{});
  return op.handle;
}
inline Handle open_datagrams(Service& s, Port port) {
  Op op;
  op.open(SocketKind::udp);
  s.run(op);
  EXPECT_EQ(op.error, Errc{});
  const Handle h = op.handle;
  op.reset();
  op.bind(h, {{}, port});
  s.run(op);
  EXPECT_EQ(op.error, Errc{});
  return h;
}
inline Handle listen_on(Service& s, const Endpoint& at, std::uint32_t backlog = 64) {
  const Handle h = open_stream(s);
  Op op;
  op.bind(h, at);
  s.run(op);
  EXPECT_EQ(op.error, Errc{});
  op.reset();
  op.listen(h, backlog);
  s.run(op);
  EXPECT_EQ(op.error, Errc{});
  return h;
}
inline Errc connect_to(Service& s, Handle h, const Endpoint& to) {
  Op op;
  op.connect(h, to);
  s.run(op);
  return op.error;
}
inline Result<Handle> accept_one(Service& s, Handle listener) {
  Op op;
  op.accept(listener);
  s.run(op);
  if (op.error != Errc{}) return fail(op.error);
  return op.handle;
}
inline Result<IoCount> send_all(Service& s, Handle h, ByteSpan bytes) {
  Op op;
  op.send(h, bytes);
  s.run(op);
  return op.io();
}
inline Result<IoCount> receive_some(Service& s, Handle h, MutableByteSpan to) {
  Op op;
  op.receive(h, to);
  s.run(op);
  return op.io();
}
inline void close_socket(Service& s, Handle h) {
  Op op;
  op.close(h);
  s.run(op);
}

}  // namespace leat::test
