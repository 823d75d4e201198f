#include <leat/runtime/clock.hpp>
#include <leat/runtime/host.hpp>
#include <leat/runtime/open_tap.hpp>
#include <leat/runtime/signals.hpp>

namespace leat {

Result<std::unique_ptr<Host>> Host::make(const HostOptions& options) {
  auto storage = ReservedStorage::make(options.limits);
  if (!storage) return fail(storage.error());
  auto memory = PacketMemory::make(hosted_pool_layout(options.packet_memory));
  if (!memory) return fail(memory.error());
  return std::unique_ptr<Host>(new Host(options, std::move(*storage), std::move(*memory)));
}

Host::Host(const HostOptions& options)
    : Host(options, ReservedStorage::make(options.limits).value(),
           PacketMemory::make(hosted_pool_layout(options.packet_memory)).value()) {}

Host::Host(const HostOptions& options, ReservedStorage&& storage, PacketMemory&& memory)
    : storage_(std::move(storage)),
      memory_(std::move(memory)),
      stack_(storage_.view(memory_.pool()), *options.modules, options.entropy, monotonic_now()),
      ports_(options.interfaces),
      shard_(stack_, ports_, options.budgets),
      runner_(options.wait) {
  runner_.add(shard_);
}

Host::~Host() {
  runner_.stop();
  shard_.reset_peers(monotonic_now());
  servers_.clear();
  for (const DevicePort& port : ports_)
    if (port.attached()) (void)shard_.detach(port.interface());
}

Result<InterfaceId> Host::open_tap(std::string_view name, std::initializer_list<std::string_view> addresses,
                                   TapProblem* why) {
  const auto prefixes = parse_addresses(addresses, why);
  if (!prefixes) return fail(prefixes.error());
  auto tap = Tap::open({.name = name}, pool(), why);
  if (!tap) return fail(tap.error());
  taps_.push_back(std::make_unique<OpenTap>(std::move(*tap)));
  auto id = attach(taps_.back()->device, {.name = name}, *prefixes);
  if (!id) taps_.pop_back();
  return id;
}

Result<InterfaceId> Host::attach(AnyDevice& device, const AttachOptions& options, std::span<const IpPrefix> addresses) {
  auto id = shard_.attach(device, options);
  if (!id) return id;
  for (const IpPrefix& address : addresses)
    if (auto r = stack_.add_address(*id, address); !r) {
      (void)shard_.detach(*id);
      return fail(r.error());
    }
  return id;
}

Result<void> Host::serve(const Endpoint& local, StreamServer::Handler handler) {
  auto server = std::make_unique<StreamServer>(
      stack_, StreamServer::Options{.address = local.address, .port = local.port}, std::move(handler));
  auto status = server->status();
  if (status) servers_.push_back(std::move(server));
  return status;
}

void Host::run() {
  const StopOnSignals signals(runner_);
  runner_.run();
}

}  // namespace leat
