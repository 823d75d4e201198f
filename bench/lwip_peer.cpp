#include <bench/peers/lwip/lwip_end.h>
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bench/clock.hpp>
#include <bench/lwip_peer.hpp>
#include <cstdlib>
#include <stdexcept>
#include <vector>

namespace leat::bench {
namespace {

constexpr std::uint32_t kClientAddress = 0x0a4d0001;
constexpr std::uint32_t kServerAddress = 0x0a4d0002;
constexpr std::uint16_t kSinkPort = 5001, kEchoPort = 7;
constexpr std::array<std::uint8_t, 6> kClientMac{2, 0, 0, 0, 0, 1}, kServerMac{2, 0, 0, 0, 0, 2};

std::string module_path() {
  if (const char* folder = std::getenv("LEAT_LIB"); folder != nullptr) return std::string(folder) + "/bench_lwip.so";
  std::array<char, 4096> self{};
  const ssize_t n = readlink("/proc/self/exe", self.data(), self.size() - 1);
  const std::string program(self.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  return program.substr(0, program.rfind('/') + 1) + "../lib/leat/bench_lwip.so";
}

// A stack of lwIP in a link namespace of its own: its tables are its alone.
const LwipEnd* open_end(const std::string& path, std::string* why) {
  void* module = dlmopen(LM_ID_NEWLM, path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    if (why != nullptr) *why = dlerror();
    return nullptr;
  }
  const auto entry = reinterpret_cast<LwipEndFunction>(dlsym(module, LEAT_LWIP_ENTRY));
  return entry == nullptr ? nullptr : entry();
}

}  // namespace

struct LwipPeer::Pair {
  const LwipEnd* client = nullptr;
  const LwipEnd* server = nullptr;
  LwipWire to_client{}, to_server{};
  std::vector<void*> echo_connections;
  std::vector<std::uint8_t> data = std::vector<std::uint8_t>(65536, 0x5a);

  void pump() {
    while (to_server.count + to_client.count > 0) {
      server->receive();
      client->receive();
    }
  }
  void timers() {
    client->timers();
    server->timers();
  }
  void keep_echo_connections(std::size_t wanted);
  void* connected(std::uint16_t port) {
    const std::uint64_t target = server->established() + 1;
    void* connection = client->connect(kServerAddress, port, kLwipSink);
    for (int i = 0; i < 1000 && server->established() < target; ++i) {
      pump();
      timers();
    }
    if (connection == nullptr || server->established() < target) throw std::runtime_error("lwIP does not connect");
    return connection;
  }
};

void LwipPeer::Pair::keep_echo_connections(std::size_t wanted) {
  while (echo_connections.size() < wanted) echo_connections.push_back(connected(kEchoPort));
  while (echo_connections.size() > wanted) {
    client->close(echo_connections.back());
    echo_connections.pop_back();
    pump();
    client->forget_time_wait();
  }
}

LwipPeer::LwipPeer() : pair_(std::make_unique<Pair>()) {}
LwipPeer::~LwipPeer() = default;

LwipPeer* LwipPeer::open(std::string* why) {
  static LwipPeer peer;
  static const bool works = [&] {
    const std::string path = module_path();
    Pair& p = *peer.pair_;
    p.client = open_end(path, why);
    if (p.client == nullptr) return false;
    p.server = open_end(path, why);
    if (p.server == nullptr) return false;
    p.client->start(kClientAddress, kClientMac.data(), &p.to_client, &p.to_server, p.server->give_back);
    p.server->start(kServerAddress, kServerMac.data(), &p.to_server, &p.to_client, p.client->give_back);
    return p.server->listen(kSinkPort, kLwipSink) == 0 && p.server->listen(kEchoPort, kLwipEcho) == 0;
  }();
  return works ? &peer : nullptr;
}

LwipPeer::Bulk LwipPeer::bulk(std::uint64_t bytes) {
  Pair& p = *pair_;
  void* connection = p.connected(kSinkPort);
  const std::uint64_t before = p.server->received();
  const std::uint64_t frames = p.to_server.passed;
  const double began = thread_cpu_seconds();
  while (p.server->received() - before < bytes) {
    p.client->write(connection, p.data.data(), p.data.size());
    p.server->receive();
    p.client->receive();
    p.timers();
  }
  const double seconds = thread_cpu_seconds() - began;
  const std::uint64_t data_frames = p.to_server.passed - frames;
  p.client->close(connection);
  p.pump();
  p.client->forget_time_wait();
  return {seconds, data_frames};
}

double LwipPeer::echo(std::uint32_t connections, std::uint32_t echoes) {
  Pair& p = *pair_;
  p.keep_echo_connections(connections);
  BlockTimer timer{64};
  std::uint64_t random = 1;
  for (std::uint32_t i = 0; i < echoes; ++i) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    const std::uint64_t target = p.client->received() + 100;
    p.client->write(p.echo_connections[(random >> 33) % connections], p.data.data(), 100);
    while (p.client->received() < target) {
      timer.begin();
      p.server->receive();
      if (i % 16 == 0) p.server->timers();
      timer.end();
      p.client->receive();
      if (i % 16 == 0) p.client->timers();
    }
    timer.done(1);
  }
  return timer.median_ns_per_unit();
}

double LwipPeer::connect_rate(std::uint32_t count) {
  Pair& p = *pair_;
  p.keep_echo_connections(0);  // lwIP looks at every connection for each segment
  const double began = thread_cpu_seconds();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t target = p.server->closed() + 1;
    void* connection = p.client->connect(kServerAddress, kSinkPort, kLwipSink);
    if (connection == nullptr) throw std::runtime_error("lwIP has no connection left");
    p.pump();
    p.client->close(connection);
    while (p.server->closed() < target) p.pump();
    p.pump();
    p.client->forget_time_wait();
    if (i % 64 == 0) p.timers();
  }
  return count / (thread_cpu_seconds() - began);
}

}  // namespace leat::bench
