#pragma once
// For a whole program of a page that serves an echo on a TAP: the same Host with a wire in memory where it asks for the
// TAP. At its other end a client asks over each address, says what came back, and sends the SIGINT that such a program
// runs until. The program's text stays as it is:
//
//   #include "wire_in_memory.hpp"
//   #define Host HostOnAWire
//   #include README_PAGE
//
// Threading: the program's thread, and the client's.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <leat/runtime/host.hpp>
#include <leat/runtime/linked_stacks_test_support.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <leat/runtime/thread_pipe.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace leat {

// Outlives the host, as devices do.
struct WireInMemory {
  ThreadPipe pipe{{.caps = {.mtu = 1500}}};
  std::optional<ThreadPipe::Device> device;
};
inline WireInMemory wire_in_memory;  // NOLINT(bugprone-throwing-static-initialization)

class HostOnAWire : public Host {
 public:
  HostOnAWire() = default;
  HostOnAWire(const HostOnAWire&) = delete;
  HostOnAWire& operator=(const HostOnAWire&) = delete;
  ~HostOnAWire() {
    if (client_.joinable()) client_.join();
  }

  Result<InterfaceId> open_tap(std::string_view name, std::initializer_list<std::string_view> addresses) {
    for (const std::string_view address : addresses) addresses_.push_back(IpPrefix::parse(address).value());
    wire_in_memory.device.emplace(wire_in_memory.pipe.end(0), pool());
    return attach(*wire_in_memory.device, {.name = name}, addresses_);
  }
  Result<void> serve(Port port, StreamServer::Handler handler) {
    auto served = Host::serve(port, std::move(handler));
    client_ = std::thread([this, port] {
      const bool right = std::ranges::all_of(addresses_, [&](const IpPrefix& a) { return answers({a.address, port}); });
      std::puts(right && addresses_.size() == 2 ? "answered over IPv4 and IPv6" : "wrong");
      ::kill(::getpid(), SIGINT);
    });
    return served;
  }

 private:
  // More than buffers and windows hold is sent, and comes back; then both sides finish.
  [[nodiscard]] bool answers(const Endpoint& server) const {
    SharedStackOptions options;
    options.limits = hosted_limits(256);
    options.packet_memory = std::size_t{16} << 20;
    const auto stack = SharedStack::make(options).value();
    ThreadPipe::Device device(wire_in_memory.pipe.end(1), stack->pool());
    std::vector<IpPrefix> mine;
    for (const IpPrefix& a : addresses_)
      mine.push_back(*IpPrefix::parse(a.address.is_v4() ? "10.9.0.1/24" : "fd09::1/64"));
    bool right = stack->attach(device, {.name = "client"}, mine).has_value();
    const Handle h = test::open_stream(*stack);
    right = right && test::connect_to(*stack, h, server) == Errc{};
    std::vector<std::uint8_t> sent(3'000'000);
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8));
    std::thread writer([&] {
      if (right) (void)test::send_all(*stack, h, sent);
      Op op;
      op.shutdown(h, ShutdownHow::write);
      stack->run(op);
    });
    std::vector<std::uint8_t> back;
    std::vector<std::uint8_t> some(65536);
    while (right) {
      const auto got = test::receive_some(*stack, h, some);
      right = got.has_value();
      if (!right || got->count == 0) break;
      back.insert(back.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(got->count));
    }
    writer.join();
    right = right && back == sent;
    test::close_socket(*stack, h);
    stack->stop();
    return right;
  }

  std::vector<IpPrefix> addresses_;
  std::thread client_;
};

}  // namespace leat
