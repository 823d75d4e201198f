#pragma once
// Stacks to measure: storage of a chosen size, a pool, and two hosts joined by a wire in memory, all on one thread.
//
//   Wire wire({.mtu = 1500, .frames = 1024, .connections = 64});
//   wire.client().stack.connect(...);  wire.client().shard.turn(t);  wire.server().shard.turn(t);
//
// Tables lie in memory with huge pages where the kernel grants them, so that the figures show the stack and not the
// page walks of a million scattered records. Threading: one thread.

#include <array>
#include <leat/core/all_modules.hpp>
#include <leat/device/memory_pipe.hpp>
#include <leat/drive/callback_socket.hpp>
#include <leat/drive/shard.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/entropy.hpp>
#include <leat/runtime/packet_memory.hpp>
#include <leat/runtime/reserved_storage.hpp>
#include <optional>
#include <span>
#include <vector>

namespace leat::bench {

// The tables of one stack for this many connections, and packet memory.
[[nodiscard]] Limits limits_for(std::uint32_t connections);
[[nodiscard]] ReservedStorage make_tables(const Limits& limits, bool huge_pages = true);
[[nodiscard]] PacketMemory make_pool(const PoolLayout& layout);

struct Host {
  Host(PacketPool& pool, std::uint32_t connections, std::uint64_t seed, const Budgets& budgets = {});
  ReservedStorage tables;
  Stack stack;
  std::array<DevicePort, 1> ports;
  Shard shard;
};

class Wire {
 public:
  struct Options {
    std::uint32_t mtu = 1500;
    std::uint32_t frames = 1024;
    std::uint32_t connections = 64;
    bool link_copies = false;  // each host has a pool of its own, so the link copies every frame
    PoolLayout layout{.packets = 32768, .chunks = {16384, 16384, 512}, .reserve = 64};
    Budgets budgets{};
  };
  explicit Wire(const Options& options);
  ~Wire();

  [[nodiscard]] Host& client() { return client_; }
  [[nodiscard]] Host& server() { return server_; }
  [[nodiscard]] MemoryPipe& pipe() { return pipe_; }
  [[nodiscard]] IpAddress server_address() const { return IpAddress::v4(0x0a4d0002); }
  void set_option(OptionId id, std::int64_t value);  // on both stacks
  // Turns both hosts until neither has anything to do now, at most `rounds` times.
  void settle(unsigned rounds = 1000);

 private:
  PacketMemory pool_;
  std::optional<PacketMemory> other_pool_;
  std::vector<Packet> to_client_, to_server_;
  Host client_, server_;
  MemoryPipe pipe_;
  DeviceRef<MemoryPipe::End> client_end_, server_end_;
};

// xorshift: cheap and the same in every run.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed | 1) {}
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(((next() >> 32) * n) >> 32); }

 private:
  std::uint64_t state_;
};

// The value of a Result, or an exception that names what failed: a benchmark has nobody to hand an error to.
[[noreturn]] void fail_with(const char* what, Errc error);
template <class T>
T must(Result<T>&& r, const char* what) {
  if (!r) fail_with(what, r.error());
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

}  // namespace leat::bench
