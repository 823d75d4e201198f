#include "node.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <leat/base/error_table.hpp>
#include <leat/device/memory_pipe.hpp>
#include <leat/device/netlink_unsafe.hpp>
#include <leat/device/pcapng_writer.hpp>
#include <leat/device/shm/shm_unsafe.hpp>
#include <leat/device/wrap/fault_injector.hpp>
#include <leat/device/wrap/pcapng_tap.hpp>
#include <leat/device/wrap/tracer.hpp>
#include <leat/runtime/clock.hpp>
#include <optional>
#include <utility>

#include "log.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr std::size_t kPipeFrames = 1024;
constexpr std::size_t kDelaySlots = 65536;  // frames on an impaired line, each way
constexpr std::size_t kCaptureBuffer = std::size_t{1} << 20;
constexpr Duration kCaptureFlush = Duration::s(1);
constexpr std::uint32_t kMemoryMtu = 1500;
constexpr std::uint32_t kShmMtu = 9000;

MacAddress derived_mac(SipKey key) {
  const std::uint64_t random = siphash24(key, 0x6d6163);
  MacAddress mac;
  for (std::size_t i = 0; i < 6; ++i) mac.bytes[i] = static_cast<std::uint8_t>(random >> (8 * i));
  mac.bytes[0] = static_cast<std::uint8_t>((mac.bytes[0] & 0xfc) | 2);  // local, unicast
  return mac;
}

class StderrLines final : public LogSink {
 public:
  void line(std::string_view text) override {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fputc('\n', stderr);
  }
};

// The commands that use less than one letter less of a name than the kernel would show are no help: as `ip` prints
// them.
std::string address_command(const IpPrefix& address, std::string_view device) {
  return address.address.is_v4() ? cat("ip address add ", address, " dev ", device)
                                 : cat("ip -6 address add ", address, " dev ", device, " nodad");
}

}  // namespace

std::string error_text(Errc error) {
  return std::string(error_info(error).sentence);
}

namespace {

// The address of the other side in the network of `own`: the gateway when it is in it, else the first that is nobody's.
std::optional<IpPrefix> other_side(const IpPrefix& own, const InterfacePlan& plan) {
  const auto is_ours = [&plan](const IpAddress& a) {
    return std::ranges::any_of(plan.addresses, [&a](const IpPrefix& p) { return p.address == a; });
  };
  for (const IpAddress& gateway : plan.gateways)
    if (own.contains(gateway) && !is_ours(gateway)) return IpPrefix{gateway, own.length};
  const unsigned bits = own.address.is_v4() ? 32 : 128;
  if (own.length >= bits) return std::nullopt;
  std::array<std::uint8_t, 16> network = own.address.bytes();
  for (unsigned bit = own.mapped_length(); bit < 128; ++bit)
    network[bit / 8] = static_cast<std::uint8_t>(network[bit / 8] & ~(0x80U >> (bit % 8)));
  const unsigned first = bits - own.length == 1 ? 0 : 1;  // RFC 3021: both addresses of a /31 are hosts
  for (unsigned i = first; i <= first + plan.addresses.size(); ++i) {
    std::array<std::uint8_t, 16> bytes = network;
    bytes[15] = static_cast<std::uint8_t>(bytes[15] + i);
    const IpAddress candidate = IpAddress::v6_wire(bytes.data());
    if (!own.contains(candidate) || candidate == own.broadcast()) break;
    if (!is_ours(candidate)) return IpPrefix{candidate, own.length};
  }
  return std::nullopt;
}

}  // namespace

std::vector<IpPrefix> other_sides(const InterfacePlan& plan) {
  std::vector<IpPrefix> sides;
  for (const IpPrefix& own : plan.addresses)
    if (const auto other = other_side(own, plan); other && std::ranges::find(sides, *other) == sides.end())
      sides.push_back(*other);
  return sides;
}

// A capture file, and the writer over it.
class Node::Capture {
 public:
  Capture(const std::string& path, std::uint32_t snap_length)
      : path_(path),
        file_(std::fopen(path.c_str(), "wb")),
        writer_(PcapngWriter::Output(&Capture::write, this), snap_length == 0 ? PcapngWriter::kWhole : snap_length,
                Duration::ns(wall_clock_ns() - monotonic_now().count_ns())) {
    if (file_ == nullptr)
      throw Failure(cat("can't write the capture ", path, ": ", std::strerror(errno)),
                    "give --pcap a file in a folder that is there");
    std::setvbuf(file_, nullptr, _IOFBF, kCaptureBuffer);
  }
  ~Capture() {
    if (file_ != nullptr) std::fclose(file_);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  [[nodiscard]] PcapngWriter& writer() { return writer_; }
  void flush() {
    if (file_ != nullptr && std::fflush(file_) != 0) error_ = errno;
  }
  void finish() {
    if (file_ == nullptr) return;
    if (std::fclose(file_) != 0) error_ = errno;
    file_ = nullptr;
    if (error_ != 0) throw Failure(cat("the capture ", path_, " is not complete: ", std::strerror(error_)), "");
  }

 private:
  static void write(void* context, ByteSpan bytes) {
    auto* self = static_cast<Capture*>(context);
    if (self->file_ == nullptr) return;
    if (std::fwrite(bytes.data(), 1, bytes.size(), self->file_) != bytes.size() && self->error_ == 0)
      self->error_ = errno;
  }
  std::string path_;
  std::FILE* file_;
  int error_ = 0;
  PcapngWriter writer_;
};

// An interface's device, and what is wrapped around it.
struct Node::Link {
  InterfacePlan plan;
  InterfaceId interface = kNoInterface;
  bool kernel = false;  // the kernel is on the other side

  std::optional<Tap> tap;
  bool told_gone = false;
  std::optional<DeviceRef<Tap>> tap_ref;
  std::vector<Packet> to_a, to_b;
  std::optional<MemoryPipe> pipe;
  std::optional<DeviceRef<MemoryPipe::End>> pipe_a, pipe_b;
  std::optional<Shm> shm;
  std::unique_ptr<ShmPair> pair;  // to a second stack with a thread of its own
  std::optional<DeviceRef<Shm>> shm_ref, shm_peer_ref;
  std::vector<DelaySlot> there, back;
  std::optional<FaultInjector> faults;
  std::optional<DeviceRef<FaultInjector>> faults_ref;
  std::optional<PcapngTap> capture;
  std::optional<DeviceRef<PcapngTap>> capture_ref;
  StderrLines lines;
  std::optional<Tracer> tracer;
  std::optional<DeviceRef<Tracer>> tracer_ref;

  [[nodiscard]] std::string_view kernel_name() const { return tap->info().name_view(); }
};

Node::Node(const Plan& plan, Owner owner)
    : plan_(plan), entropy_(plan.seed ? seeded_entropy(*plan.seed) : system_entropy()) {
  if (!plan_.pcap.empty()) capture_ = std::make_unique<Capture>(plan_.pcap, plan_.snap_length);
  const std::size_t interfaces = std::max<std::size_t>(plan_.interfaces.size(), 1);
  if (owner == Owner::shared) {
    auto stack = SharedStack::make(
        {.limits = plan_.limits, .packet_memory = plan_.packet_memory, .interfaces = interfaces, .entropy = entropy_});
    if (!stack) throw Failure("there is no address space for this configuration", "take smaller limits");
    shared_ = std::move(*stack);
  } else {
    auto host = Host::make(
        {.limits = plan_.limits, .packet_memory = plan_.packet_memory, .interfaces = interfaces, .entropy = entropy_});
    if (!host) throw Failure("there is no address space for this configuration", "take smaller limits");
    host_ = std::move(*host);
  }
  with_stack([this](Stack& stack) {
    for (const auto& [id, value] : plan_.options)
      if (const auto r = stack.set_option(id, value); !r)
        throw Failure(cat("option ", option_info(id).name, ": ", error_text(r.error())), "");
  });
  for (const InterfacePlan& interface : plan_.interfaces) add_interface(interface);
  with_stack([this](Stack& stack) { add_routes(stack); });
  if (peer_ && shared_) peer_->runner().start();
  if (capture_ && host_) {
    // Whoever reads along sees packets a second late at most.
    struct Flush {
      Node* node;
      void operator()() const {
        node->capture_->flush();
        node->runner().after(kCaptureFlush, *this);
      }
    };
    runner().after(kCaptureFlush, Flush{this});
  }
}

Node::~Node() {
  // Devices hold packets of the pools, and shards hold devices: first the shards tell their peers and let go, then the
  // devices end, then the stacks with their pools.
  const auto let_go = [](Host& host) {
    host.shard().reset_peers(monotonic_now());
    for (const DevicePort& port : host.shard().ports())
      if (port.attached()) (void)host.shard().detach(port.interface());
  };
  if (shared_) {
    if (peer_) peer_->runner().stop();
    shared_->stop();
  }
  peer_echo_.reset();
  if (peer_) {
    if (host_) runner().remove(peer_->shard());
    let_go(*peer_);
  }
  if (host_) let_go(*host_);
  links_.clear();
}

std::string Node::cat_error(std::string_view what, Errc error) {
  return cat(what, ": ", error_text(error));
}

PacketPool& Node::pool() {
  return shared_ ? shared_->pool() : host_->pool();
}

Host* Node::peer() {
  return peer_.get();
}

AnyDevice* Node::open_tap(Link& link, const InterfacePlan& plan) {
  TapProblem why;
  Result<Tap> tap = fail(Errc::io_error);
  with_stack([&](Stack&) {  // it takes chunks of the pool
    tap = Tap::open({.name = plan.device.name,
                     .link = plan.device.kind == "tun" ? LinkType::ip : LinkType::ethernet,
                     .mtu = plan.mtu,
                     .mac = plan.mac.value_or(MacAddress{})},
                    pool(), &why);
  });
  if (!tap)
    throw TapFailure(cat("can't open ", plan.device.kind, " ", plan.device.name, ": ", why.cause),
                     std::string(why.fix));
  link.kernel = true;
  link.tap.emplace(std::move(*tap));
  link.tap_ref.emplace(*link.tap);
  const TapInfo& info = link.tap->info();
  if (plan.mtu != 0 && !info.mtu_set && link.tap->caps().mtu != plan.mtu)
    throw Failure(cat("can't set the MTU of ", plan.device.name, " to ", plan.mtu),
                  cat("as root: ip link set ", plan.device.name, " mtu ", plan.mtu));
  log_debug(cat(info.name_view(), ": vnet header ", info.vnet_header ? "on" : "off", ", checksum offload ",
                info.checksum_offload ? "on" : "off", ", TSO ", info.tso4 ? "on" : "off", ", MTU ",
                link.tap->caps().mtu));
  return &*link.tap_ref;
}

Host& Node::make_peer() {
  if (!peer_) {
    Entropy other = entropy_;
    other.words[0] ^= 1;
    auto peer = Host::make({.limits = plan_.limits, .packet_memory = plan_.packet_memory, .entropy = other});
    if (!peer) throw Failure("there is no address space for a second stack", "take smaller limits");
    peer_ = std::move(*peer);
    if (host_) runner().add(peer_->shard());
  }
  return *peer_;
}

AnyDevice* Node::open_memory(Link& link, const InterfacePlan& plan) {
  make_peer();
  AnyDevice* theirs = nullptr;
  AnyDevice* ours = nullptr;
  const std::uint32_t mtu = plan.mtu == 0 ? kMemoryMtu : plan.mtu;
  if (shared_) {  // the second stack runs in a thread of its own
    auto pair = ShmPair::make({.mtu = mtu, .frames = kPipeFrames, .mac = {}}, pool(), peer_->pool());
    if (!pair) throw Failure(cat("can't make shared memory: ", error_text(pair.error())), "");
    link.pair = std::move(*pair);
    ours = &link.shm_ref.emplace(link.pair->a());
    theirs = &link.shm_peer_ref.emplace(link.pair->b());
  } else {
    ours = open_pipe(link, plan, mtu);
    theirs = &*link.pipe_b;
  }
  const auto id = peer_->attach(*theirs, {.name = plan.name}, other_sides(plan));
  if (!id) throw Failure(cat("can't set up the other end of ", plan.name, ": ", error_text(id.error())), "");
  if (!peer_echo_) peer_echo_ = std::make_unique<EchoServices>(*peer_, 7);
  return ours;
}

AnyDevice* Node::open_pipe(Link& link, const InterfacePlan& plan, std::uint32_t mtu) {
  link.to_a.resize(kPipeFrames);
  link.to_b.resize(kPipeFrames);
  const SipKey key = derive_key(entropy_, 0x6d656d);
  link.pipe.emplace(MemoryPipe::Options{.pool_a = &host_->pool(),
                                        .pool_b = &peer_->pool(),
                                        .to_a = link.to_a,
                                        .to_b = link.to_b,
                                        .caps = {.link = LinkType::ethernet, .mac = {}, .mtu = mtu},
                                        .mac_a = plan.mac.value_or(derived_mac(key)),
                                        .mac_b = derived_mac(SipKey{key.k1, key.k0})});
  link.pipe_a.emplace(link.pipe->a());
  link.pipe_b.emplace(link.pipe->b());
  return &*link.pipe_a;
}

AnyDevice* Node::open_shm(Link& link, const InterfacePlan& plan) {
  ShmProblem why;
  auto shm =
      Shm::open(plan.device.name, {.mtu = plan.mtu == 0 ? kShmMtu : plan.mtu, .mac = plan.mac.value_or(MacAddress{})},
                pool(), &why);
  if (!shm) throw Failure(cat("can't open shm ", plan.device.name, ": ", why.cause), std::string(why.fix));
  link.shm.emplace(std::move(*shm));
  log_debug(cat("shm ", plan.device.name, ": ", link.shm->joined() ? "joined" : "waiting for the other side"));
  return &link.shm_ref.emplace(*link.shm);
}

void Node::add_interface(const InterfacePlan& plan) {
  auto owned = std::make_unique<Link>();
  Link& link = *owned;
  link.plan = plan;
  AnyDevice* device = plan.device.kind == "memory" ? open_memory(link, plan)
                      : plan.device.kind == "shm"  ? open_shm(link, plan)
                                                   : open_tap(link, plan);
  if (plan_.impairment) {
    link.there.resize(kDelaySlots);
    link.back.resize(kDelaySlots);
    link.faults.emplace(*device,
                        FaultInjector::Config{.tx = *plan_.impairment,
                                              .rx = *plan_.impairment,
                                              .seed = derive_key(entropy_, 0x6661756c74 + links_.size())},
                        link.there, link.back);
    device = &link.faults_ref.emplace(*link.faults);
  }
  if (capture_) {
    link.capture.emplace(*device, capture_->writer(), plan.name);
    device = &link.capture_ref.emplace(*link.capture);
  }
  if (plan_.trace) {
    link.tracer.emplace(*device, link.lines, link.plan.name);
    device = &link.tracer_ref.emplace(*link.tracer);
  }
  const auto id =
      shared_ ? shared_->attach(*device, {.name = plan.name}, {}) : host_->attach(*device, {.name = plan.name}, {});
  if (!id) throw Failure(cat("can't attach interface ", plan.name, ": ", error_text(id.error())), "");
  link.interface = *id;
  links_.push_back(std::move(owned));
  with_stack([&](Stack& stack) { configure(stack, *id, plan); });
}

void Node::configure(Stack& stack, InterfaceId id, const InterfacePlan& plan) {
  for (std::size_t i = 0; i < plan.addresses.size(); ++i)
    if (const auto r = stack.add_address(id, plan.addresses[i]); !r)
      throw Failure(cat(place_of(plan.address_places, i), "can't give ", plan.name, " the address ", plan.addresses[i],
                        ": ", error_text(r.error())),
                    "take another address");
  for (std::size_t i = 0; i < plan.gateways.size(); ++i) {
    const IpAddress& gateway = plan.gateways[i];
    const auto r =
        stack.add_route({.destination = {IpAddress::any(gateway.version()), 0}, .gateway = gateway, .interface = id});
    if (!r)
      throw Failure(
          cat(place_of(plan.gateway_places, i), "can't route by gateway ", gateway, ": ", error_text(r.error())),
          "give the address of a neighbour that forwards");
  }
}

void Node::add_routes(Stack& stack) {
  for (RoutePlan route : plan_.routes) {
    for (const auto& link : links_)
      if (link->plan.name == route.interface) route.config.interface = link->interface;
    if (const auto r = stack.add_route(route.config); !r)
      throw Failure(cat(route.place, "can't add the route to ", route.name, ": ", error_text(r.error())),
                    r.error() == Errc::already_exists
                        ? "leave one of the two out"
                        : "give the gateway an address in a network of one of the interfaces");
  }
}

std::vector<std::string> Node::kernel_commands() const {
  std::vector<std::string> commands;
  for (const auto& link : links_) {
    if (!link->kernel) continue;
    for (const IpPrefix& other : other_sides(link->plan))
      commands.push_back(address_command(other, link->kernel_name()));
    commands.push_back(cat("ip link set ", link->kernel_name(), " up"));
  }
  return commands;
}

std::vector<IpAddress> Node::peer_addresses() const {
  std::vector<IpAddress> addresses;
  for (const auto& link : links_)
    for (const IpPrefix& other : other_sides(link->plan)) addresses.push_back(other.address);
  return addresses;
}

void Node::configure_kernel_side() {
  for (const auto& link : links_) {
    if (!link->kernel) continue;
    const auto must = [&](const Result<void>& r, const std::string& command) {
      if (!r && r.error() != Errc::already_exists)
        throw Failure(cat("can't run '", command, "': ", error_text(r.error())),
                      "run as root, or run it by hand and leave --setup out");
    };
    must(netlink::link_up(link->kernel_name()), cat("ip link set ", link->kernel_name(), " up"));
    for (const IpPrefix& other : other_sides(link->plan))
      must(netlink::add_address(link->kernel_name(), other), address_command(other, link->kernel_name()));
  }
}

void Node::announce() {
  struct UpToDate {  // what is called before the first turn happens now, not when the stack was made
    Stack* stack;
    ~UpToDate() {
      if (stack != nullptr) stack->set_now(monotonic_now());
    }
  } const up_to_date{host_ ? &stack() : nullptr};
  const std::vector<std::string> commands = kernel_commands();
  if (plan_.setup) {
    configure_kernel_side();
    for (const std::string& command : commands) log_debug(cat("done: ", command));
    return;
  }
  if (commands.empty()) return;
  std::string text = "The kernel's side, once, as root (or say --setup):\n";
  for (const std::string& command : commands) text += cat("  ", command, "\n");
  std::fputs(text.c_str(), stderr);
}

Value Node::counters() {
  Value all;
  Counters counters;
  with_stack([&](const Stack& stack) {
    counters = stack.counters();
    for (const auto& link : links_)
      if (link->faults) link->faults->add_drops(counters);
  });
  for (std::size_t i = 0; i < kCounters; ++i)
    if (const auto n = counters.get(static_cast<Counter>(i)); n > 0) all.set(kCounterInfo[i].name, n);
  Value drops;
  for (std::size_t i = 0; i < kDropReasons; ++i)
    if (const auto n = counters.get(static_cast<DropReason>(i)); n > 0) drops.set(kDropInfo[i].name, n);
  all.set("drops", drops);
  return all;
}

void Node::look_at_interfaces() {
  std::string news;
  bool any_left = false;
  with_stack([&](Stack&) {
    for (const auto& link : links_) {
      const bool gone = link->tap && link->tap->gone();
      any_left = any_left || !gone;
      if (gone && !std::exchange(link->told_gone, true)) news += cat(news.empty() ? "" : ", ", link->plan.name);
    }
  });
  if (news.empty()) return;
  const std::string what = cat("somebody deleted the interface: ", news);
  if (!any_left) {
    finish_capture();
    throw Failure(what, "start this again, which makes it anew");
  }
  log_warning(what);
}

void Node::flush_capture() {
  if (capture_) with_stack([this](Stack&) { capture_->flush(); });
}

void Node::finish_capture() {
  if (capture_) with_stack([this](Stack&) { capture_->finish(); });
}

EchoServices::EchoServices(Host& host, std::uint16_t port) : buffer_(65536) {
  const auto echo = [this](StreamConnection& c) {
    while (c.pending() == 0) {
      const IoCount got = c.read(buffer_);
      if (got.count == 0) break;
      counts_.stream_bytes += got.count;
      c.write({buffer_.data(), got.count});
    }
    if (c.at_end()) c.close();
  };
  stream_ = StreamServer::with_factory(host.stack(), {.port = Port{port}}, [echo](StreamConnection& c) {
    (void)c.stack().set_option(c.handle(), OptionId::tcp_nodelay, 1);
    return echo;
  });
  auto status = stream_->status();
  if (status)
    status = datagrams_.open_udp(host.stack(), CallbackSocket::Handler::to<&EchoServices::on_datagrams>(*this));
  if (status) status = host.stack().bind(datagrams_.handle(), {IpAddress{}, Port{port}});
  if (!status && status.error() == Errc::address_in_use)
    throw Failure(cat("port ", port, " is already in use on this stack"), "choose another");
  if (!status) throw Failure(cat("can't serve echo on port ", port, ": ", error_text(status.error())), "");
}

EchoServices::~EchoServices() = default;

void EchoServices::on_datagrams(CallbackSocket& socket, Ready) {
  for (;;) {
    Message message;
    const auto got = socket.stack().try_receive_from(socket.handle(), buffer_, message);
    if (!got || got->status != IoStatus::done) return;
    ++counts_.datagrams;
    // What does not fit the transmit queue now is lost, as datagrams may be.
    (void)socket.stack().try_send_as(socket.handle(), {buffer_.data(), got->count}, &message.from, answer_to(message));
  }
}

}  // namespace leat::tools
