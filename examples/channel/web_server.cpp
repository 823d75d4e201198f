// A web server on a TUN device: one thread, one coroutine for each connection. As root, or inside `unshare -Urn`:
//
//   build/release/bin/example_channel_web_server &
//   ip address add 10.9.0.1/24 dev leat0 && ip link set leat0 up
//   curl http://10.9.0.2/
#include <cstdio>
#include <leat/api/channel/tcp.hpp>
#include <leat/device/tap_unsafe.hpp>
#include <leat/netstack/runner.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/entropy.hpp>
#include <list>
#include <string>
using namespace leat;
using namespace leat::channel;

namespace {

ByteSpan bytes(const std::string& text) {
  return {static_cast<const std::uint8_t*>(static_cast<const void*>(text.data())), text.size()};
}

Task<void> answer(TcpStream stream) {
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos) {
    const auto some = co_await stream.async_recv_bytes(4096, Duration::s(10));
    if (!some || some->empty() || request.size() > 65536) co_return;
    request.append(some->begin(), some->end());
  }
  const std::string body = "Hello from a stack in user space.\n";
  const std::string head =
      "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\nConnection: close\r\n\r\n";
  (void)co_await stream.async_send_all(bytes(head + body));
  (void)stream.shutdown_write();
}

Task<void> serve(Channel channel, std::list<Task<void>>& connections) {
  const auto listener = co_await TcpListener::async_listen(channel, {IpAddress{}, Port{80}});
  if (!listener) co_return;
  while (true) {
    auto stream = co_await listener->async_accept();
    if (!stream) co_return;
    connections.remove_if([](const Task<void>& t) { return t.done(); });
    connections.push_back(answer(std::move(*stream)));
    connections.back().start();
  }
}

}  // namespace

int main() {
  Netstack stack({}, system_entropy(), monotonic_now());
  TapProblem why;
  auto tun = Tap::open({.name = "leat0", .link = LinkType::ip}, stack.pool(), &why);
  if (!tun) {
    std::fprintf(stderr, "%s; %s\n", why.cause.data(), why.fix.data());
    return 2;
  }
  DeviceRef<Tap> device(*tun);
  const std::array<IpPrefix, 1> address{*IpPrefix::parse("10.9.0.2/24")};
  if (!stack.attach(device, address)) return 2;
  RunQueue tasks({[](void*) { return monotonic_now(); }, nullptr});
  std::list<Task<void>> connections;
  Task<void> server = serve(stack.channel(&tasks), connections);
  server.start();
  NetstackRunner runner;
  runner.tasks = &tasks;
  run_blocking(stack, runner);  // until it is killed
}
