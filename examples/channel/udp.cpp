// UDP over the command channel, blocking and awaited: a datagram that is longer than the buffer says so.
#include <cstdio>
#include <leat/api/channel/udp.hpp>
#include <leat/netstack/piped.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/entropy.hpp>
using namespace leat;
using namespace leat::channel;

namespace {

Task<int> exchange(const UdpSocket& one, const UdpSocket& two) {
  (void)co_await one.async_send_to(std::vector<std::uint8_t>(300, 'x'), {piped_address(1), two.local_addr().port});
  const auto got = co_await two.async_recv_from_bytes(1500, Duration::s(5));
  if (!got) co_return 1;
  std::printf("async: %zu bytes from %s\n", got->bytes.size(),
              std::string(AddressText(got->message.from).view()).c_str());
  co_return 0;
}

}  // namespace

int main() {
  ThreadedPair stacks({}, system_entropy(), system_entropy());
  RunQueue tasks({[](void*) { return monotonic_now(); }, nullptr});
  const auto one = UdpSocket::bind(stacks.channel(0, &tasks), {});  // any address, any port
  const auto two = UdpSocket::bind(stacks.channel(1, &tasks), {IpAddress{}, Port{5300}});
  if (!one || !two) return 2;

  (void)one->send_to(std::vector<std::uint8_t>(300, 'x'), {piped_address(1), Port{5300}});
  std::array<std::uint8_t, 100> buffer{};
  const auto got = two->recv_from(buffer, Duration::s(5));
  if (!got) return 1;
  std::printf("sync: %zu bytes of %zu\n", got->count, got->truncated().value_or(got->count));

  return tasks.block_on(exchange(*one, *two));
}
