#include "echo.hpp"

#include <array>
#include <cstddef>
#include <leat/device/memory_pipe.hpp>
#include <leat/drive/callback_socket.hpp>
#include <leat/drive/shard.hpp>
#include <new>

#include "board.hpp"

namespace {

using leat::ByteSpan;
using leat::CallbackSocket;
using leat::Duration;
using leat::Endpoint;
using leat::Instant;
using leat::IpAddress;
using leat::MutableByteSpan;
using leat::Ready;

// What this image can hold. Everything in RAM follows from these numbers.
constexpr leat::Limits kLimits{
    .sockets = 8,
    .profiles = 2,
    .errors = 0,
    .iface = {.interfaces = 1, .addresses = 4, .neighbors = 4, .routes = 8},
    .ip = {.raw_sockets = 1, .rate_slots = 4},
    .udp = {.sockets = 1},
    .tcp = {.connections = 4,
            .active = 4,
            .listeners = 2,
            .syn_records = 4,
            .time_wait = 4,
            .ranges = 32,
            .ooo_nodes = 16,
            .tallies = false},
};
constexpr leat::PoolLayout kPoolLayout{.packets = 64, .chunks = {48, 24, 0}, .reserve = 8};
constexpr std::size_t kPoolBytes = std::size_t{64} * 64 + 48 * 256 + 24 * 2048 + 1024;
constexpr std::size_t kBufferBytes = 4096;  // of a socket, each way
constexpr std::uint32_t kTransfer = 20'000;
constexpr std::uint16_t kPort = 7;

// Memory for one T, in .bss: constructed by run_echo, so that no initial image of it lies in flash.
template <class T>
class Slot {
 public:
  template <class... Args>
  T& make(Args&&... args) {
    return *::new (static_cast<void*>(bytes_)) T(static_cast<Args&&>(args)...);
  }

 private:
  alignas(T) std::byte bytes_[sizeof(T)];
};

alignas(64) std::array<std::uint8_t, kPoolBytes> g_region;
Slot<leat::PacketPool> g_pool;
std::array<leat::Packet, 8> g_to_client, g_to_server;
Slot<leat::MemoryPipe> g_pipe;

constexpr std::uint8_t pattern(std::uint32_t i) {
  return static_cast<std::uint8_t>(i * 7 + (i >> 8));
}

[[noreturn]] void fail(const char* what) {
  board::print("echo failed: ");
  board::print(what);
  board::print("\n");
  board::exit(1);
}
void require(bool condition, const char* what) {
  if (!condition) fail(what);
}

struct Host {
  Host(leat::PacketPool& pool, const leat::Modules& modules, std::uint64_t seed, Instant now)
      : stack(storage.view(pool), modules, {{seed, seed + 1, seed + 2, seed + 3}}, now), shard(stack, ports) {}
  leat::StackStorage<kLimits> storage;
  leat::Stack stack;
  std::array<leat::DevicePort, 1> ports;
  leat::Shard shard;
};
Slot<Host> g_client_host, g_server_host;

// Gives back what it receives; holds what did not fit.
class EchoServer {
 public:
  void start(leat::Stack& stack, const Endpoint& at) {
    require(listener_.listen(stack, at, 2, CallbackSocket::Handler::to<&EchoServer::on_listener>(*this)).has_value(),
            "listen");
  }
  void stop() { listener_.close(); }

 private:
  void on_listener(CallbackSocket& listener, Ready) {
    const auto took = connection_.accept(listener, CallbackSocket::Handler::to<&EchoServer::on_event>(*this));
    require(took.has_value(), "accept");
  }
  void on_event(CallbackSocket& s, Ready) {
    while (true) {
      if (held_ > 0) {
        const auto wrote = s.write(ByteSpan{buffer_.data() + first_, held_});
        if (!wrote) return s.abort();
        first_ += wrote->count;
        held_ -= wrote->count;
        if (held_ > 0) return;  // writable comes later
      }
      const auto got = s.read(buffer_);
      if (!got) return s.abort();
      if (got->status == leat::IoStatus::end_of_stream) return s.close();
      if (got->count == 0) return;
      first_ = 0;
      held_ = got->count;
    }
  }

  CallbackSocket listener_, connection_;
  std::array<std::uint8_t, 512> buffer_;
  std::size_t first_ = 0, held_ = 0;
};
EchoServer g_server;

// Sends the pattern, checks that it comes back, closes.
class Client {
 public:
  void start(leat::Stack& stack, const Endpoint& to) {
    sent_ = received_ = 0;
    done_ = false;
    require(socket_.connect(stack, to, CallbackSocket::Handler::to<&Client::on_event>(*this)).has_value(), "connect");
  }
  [[nodiscard]] bool done() const { return done_; }

 private:
  void on_event(CallbackSocket& s, Ready event) {
    if (any(event & Ready::error)) fail("the connection broke");
    std::array<std::uint8_t, 256> buffer;
    while (sent_ < kTransfer) {
      std::size_t n = 0;
      for (; n < buffer.size() && sent_ + n < kTransfer; ++n) {
        buffer[n] = pattern(sent_ + static_cast<std::uint32_t>(n));
      }
      const auto wrote = s.write(ByteSpan{buffer.data(), n});
      if (!wrote) return;  // not connected yet
      sent_ += static_cast<std::uint32_t>(wrote->count);
      if (wrote->count < n) break;
    }
    while (true) {
      const auto got = s.read(buffer);
      if (!got || got->count == 0) break;
      for (std::size_t i = 0; i < got->count; ++i) require(buffer[i] == pattern(received_++), "a byte differs");
    }
    if (received_ < kTransfer) return;
    done_ = true;
    s.close();
  }

  CallbackSocket socket_;
  std::uint32_t sent_ = 0, received_ = 0;
  bool done_ = false;
};
Client g_client;

// Turns both hosts for `length` of virtual time, or until `until` says so.
template <class Until>
void turn_for(Host& a, Host& b, Instant& now, Duration length, Until&& until) {
  const Instant end = now + length;
  while (now < end && !until()) {
    const Instant next = leat::earlier(a.shard.turn(now), b.shard.turn(now));
    now = next > now ? leat::earlier(next, end) : now + Duration::us(10);
  }
}

void address(Host& host, leat::InterfaceId interface, const char* prefix) {
  const auto parsed = leat::IpPrefix::parse(prefix);
  require(parsed.has_value() && host.stack.add_address(interface, *parsed).has_value(), prefix);
}

void set_buffers(Host& host) {
  require(host.stack.set_option(leat::OptionId::send_buffer, kBufferBytes).has_value(), "send_buffer");
  require(host.stack.set_option(leat::OptionId::receive_buffer, kBufferBytes).has_value(), "receive_buffer");
}

}  // namespace

int run_echo(const leat::Modules& modules) {
  Instant now = Instant::from_ns(1'000'000'000);
  require(leat::PacketPool::bytes_needed(kPoolLayout) <= kPoolBytes, "packet memory is too small");
  leat::PacketPool& pool = g_pool.make(MutableByteSpan{g_region}, kPoolLayout);
  Host& client = g_client_host.make(pool, modules, 1U, now);
  Host& server = g_server_host.make(pool, modules, 2U, now);
  leat::DeviceCaps caps;
  caps.link = leat::LinkType::ethernet;
  caps.gather = true;
  leat::MemoryPipe& pipe = g_pipe.make(leat::MemoryPipe::Options{.pool_a = &pool,
                                                                 .pool_b = &pool,
                                                                 .to_a = g_to_client,
                                                                 .to_b = g_to_server,
                                                                 .caps = caps,
                                                                 .mac_a = leat::MacAddress{{2, 0, 0, 0, 0, 1}},
                                                                 .mac_b = leat::MacAddress{{2, 0, 0, 0, 0, 2}}});
  static leat::DeviceRef<leat::MemoryPipe::End> client_end{pipe.a()}, server_end{pipe.b()};
  const auto client_side = client.shard.attach(client_end, {.name = "wire"});
  const auto server_side = server.shard.attach(server_end, {.name = "wire"});
  require(client_side.has_value() && server_side.has_value(), "attach");
  set_buffers(client);
  set_buffers(server);
  address(client, *client_side, "10.0.0.1/24");
  address(server, *server_side, "10.0.0.2/24");
  const bool ipv6 = modules.ipv6 != nullptr;
  if (ipv6) {
    address(client, *client_side, "fd00::1/64");
    address(server, *server_side, "fd00::2/64");
  }
  g_server.start(server.stack, {IpAddress{}, leat::Port{kPort}});

  for (const char* to : {"10.0.0.2", "fd00::2"}) {
    const auto parsed = IpAddress::parse(to);
    require(parsed.has_value(), to);
    if (!parsed->is_v4() && !ipv6) continue;
    g_client.start(client.stack, {*parsed, leat::Port{kPort}});
    turn_for(client, server, now, Duration::s(60), [] { return g_client.done(); });
    require(g_client.done(), "not every byte came back");
    turn_for(client, server, now, Duration::s(5), [] { return false; });
    board::print(to);
    board::print(": 20000 bytes there and back\n");
  }
  g_server.stop();
  turn_for(client, server, now, Duration::s(300), [] { return false; });
  client.stack.check_invariants();
  server.stack.check_invariants();
  server.stack.~Stack();
  client.stack.~Stack();
  require(pool.all_free(), "packet memory did not return");
  board::print("echo ok\n");
  return 0;
}
