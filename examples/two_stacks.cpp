// Two stacks without an operating system under them: static storage, no heap, and a clock that is only a number. They
// are joined by a link of 1 ms; one echoes what the other says. This is what a simulation, or firmware with a radio
// instead of the link, does.

#include <cstdio>
#include <cstring>
#include <leat/core/all_modules.hpp>
#include <leat/device/memory_pipe.hpp>
#include <leat/device/wrap/fault_injector.hpp>
#include <leat/drive/callback_socket.hpp>
#include <leat/drive/shard.hpp>

using namespace leat;

namespace {

constexpr PoolLayout kLayout{.packets = 128, .chunks = {64, 64, 0}, .reserve = 8};
alignas(64) std::array<std::uint8_t, 400'000> region_a, region_b;
StackStorage<kSmallLimits> storage_a, storage_b;

// Answers whatever comes.
struct EchoServer {
  CallbackSocket listener, connection;
  void on_accept(CallbackSocket&, Ready) {
    (void)connection.accept(listener, CallbackSocket::Handler::to<&EchoServer::on_data>(*this));
  }
  void on_data(CallbackSocket& socket, Ready) {
    std::array<std::uint8_t, 512> data;
    while (true) {
      const auto got = socket.read(data);
      if (!got || got->count == 0) break;
      (void)socket.write({data.data(), got->count});  // a short message: it fits
    }
  }
};

struct Client {
  CallbackSocket socket;
  std::array<std::uint8_t, 64> answer{};
  std::size_t received = 0;
  Instant when;
  void on_event(CallbackSocket& s, Ready events) {
    constexpr std::array<std::uint8_t, 5> kHello{'h', 'e', 'l', 'l', 'o'};
    if (any(events & Ready::connected)) (void)s.write(kHello);
    if (!any(events & Ready::readable)) return;
    const auto got = s.read(MutableByteSpan{answer}.subspan(received));
    if (got) received += got->count;
    when = s.stack().now();
  }
};

}  // namespace

int main() {
  PacketPool pool_a(region_a, kLayout), pool_b(region_b, kLayout);
  std::array<Packet, 16> to_a, to_b;
  MemoryPipe pipe({.pool_a = &pool_a,
                   .pool_b = &pool_b,
                   .to_a = to_a,
                   .to_b = to_b,
                   .caps = {.mac = {}},
                   .mac_a = {},
                   .mac_b = {}});
  DeviceRef<MemoryPipe::End> end_a(pipe.a()), end_b(pipe.b());
  std::array<DelaySlot, 16> there, back;
  const ImpairmentConfig slow{.delay = Duration::us(500)};
  FaultInjector link(end_a, {.tx = slow, .rx = slow, .seed = {1, 2}}, there, back);
  DeviceRef<FaultInjector> device_a(link);

  Instant now;  // virtual: it jumps to the next thing that happens
  Stack stack_a(storage_a.view(pool_a), kAllModules, Entropy{{1, 2, 3, 4}}, now);
  Stack stack_b(storage_b.view(pool_b), kAllModules, Entropy{{5, 6, 7, 8}}, now);
  std::array<DevicePort, 1> ports_a, ports_b;
  Shard a(stack_a, ports_a), b(stack_b, ports_b);
  const InterfaceId interface_a = a.attach(device_a, {}).value();
  const InterfaceId interface_b = b.attach(end_b, {}).value();
  if (!stack_a.add_address(interface_a, *IpPrefix::parse("192.0.2.1/24"))) return 2;
  if (!stack_b.add_address(interface_b, *IpPrefix::parse("192.0.2.2/24"))) return 2;

  EchoServer server;
  Client client;
  if (!server.listener.listen(stack_b, {IpAddress{}, Port{7}}, 4,
                              CallbackSocket::Handler::to<&EchoServer::on_accept>(server)))
    return 2;
  if (!client.socket.connect(stack_a, {*IpAddress::parse("192.0.2.2"), Port{7}},
                             CallbackSocket::Handler::to<&Client::on_event>(client)))
    return 2;

  while (client.received < 5 && now < Instant{} + Duration::s(10)) {
    Instant next = earlier(a.turn(now), b.turn(now));
    next = earlier(next, earlier(device_a.next_event(), end_b.next_event()));  // what the later turn sent
    now = next < now ? now : next;
  }
  std::printf("\"%.*s\": the echo came back after %.3f ms of virtual time\n", static_cast<int>(client.received),
              static_cast<const char*>(static_cast<const void*>(client.answer.data())),
              static_cast<double>(client.when.count_us()) / 1000);
  return client.received == 5 ? 0 : 1;
}
