// Transfers whose line, hosts and options are all drawn from a seed: combinations that nobody would write down. Every
// byte arrives, every packet goes back to its pool. LEAT_RANDOM_TRANSFERS=N draws more of them; LEAT_RANDOM_SEED=N is
// the first seed.

#include <gtest/gtest.h>

#include <leat/base/rng.hpp>
#include <leat/core/all_modules.hpp>
#include <leat/sim/transfer.hpp>
#include <sstream>
#include <tests/support/from_environment.hpp>

namespace leat::sim {
namespace {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : rng_({seed, 0x9e3779b97f4a7c15U}) {}
  template <class T>
  T of(std::initializer_list<T> choices) {
    return choices.begin()[rng_.below(static_cast<std::uint32_t>(choices.size()))];
  }
  bool once_in(std::uint32_t n) { return rng_.below(n) == 0; }

 private:
  Rng rng_;
};

TransferOptions draw(std::uint64_t seed) {
  Draw d(seed);
  TransferOptions o;
  o.modules = &kAllModules;
  o.seed = seed;
  o.bytes = d.of<std::uint64_t>({1, 1'000, 30'000, 200'000});
  o.connections = d.of({1U, 1U, 2U, 7U});
  o.both_ways = d.once_in(2);
  o.version = d.of({IpVersion::v4, IpVersion::v6});
  o.link = d.of({LinkType::ethernet, LinkType::ip});
  o.mtu = d.of({1280U, 1500U, 9000U, 65'535U});
  if (o.version == IpVersion::v4 && d.once_in(2)) o.mtu = d.of({68U, 80U, 96U, 128U, 296U, 576U});
  o.rtt =
      d.of({Duration{}, Duration::us(100), Duration::ms(1), Duration::ms(20), Duration::ms(200), Duration::ms(600)});
  o.jitter = d.of({Duration{}, Duration{}, Duration::us(50), Duration::ms(2), Duration::ms(20)});
  o.loss_ppm = d.of({0U, 0U, 1'000U, 20'000U, 50'000U});
  o.reorder_ppm = d.of({0U, 0U, 10'000U, 200'000U});
  o.duplicate_ppm = d.of({0U, 0U, 10'000U, 100'000U});
  o.corrupt_ppm = d.of({0U, 0U, 1'000U, 10'000U});
  o.rate_bps = d.of<std::uint64_t>({0, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000});
  o.queue_packets = d.of({0U, 3U, 16U, 64U, 500U});
  if (d.once_in(8))
    o.partitions.push_back({Duration::ms(30), Duration::ms(30) + d.of({Duration::ms(5), Duration::s(3)})});
  o.batch = d.of<std::size_t>({1, 7, PacketBatch::kMax});
  o.software_gro = !d.once_in(4);
  const auto option = [&](OptionId id, std::initializer_list<std::int64_t> values) {
    if (d.once_in(3)) o.options.emplace_back(id, d.of(values));
  };
  option(OptionId::tcp_timestamps, {0});
  option(OptionId::tcp_sack, {0});
  option(OptionId::tcp_dsack, {0});
  option(OptionId::tcp_window_scaling, {0});
  option(OptionId::tcp_nodelay, {1});
  option(OptionId::tcp_quickack, {1});
  option(OptionId::tcp_congestion, {0});
  option(OptionId::tcp_initial_window, {1, 2, 64});
  option(OptionId::tcp_delayed_ack, {0, 1'000, 200'000, 500'000});
  option(OptionId::tcp_ack_segments, {1, 8, 64});
  option(OptionId::tcp_stretch_acks, {0, 2});
  option(OptionId::tcp_reply_wait, {0, 40'000});
  option(OptionId::tcp_max_segment, {64, 536, 1'400});
  option(OptionId::tcp_rto_min, {1'000, 20'000, 1'000'000});
  option(OptionId::tcp_max_ooo_nodes, {1, 4});
  // Without a record, what overtakes a connection's first segment is answered by a reset: of any line but one that
  // keeps order.
  if (o.jitter == Duration{} && o.loss_ppm + o.reorder_ppm + o.corrupt_ppm == 0 && o.queue_packets == 0 &&
      o.partitions.empty()) {
    option(OptionId::tcp_syncookies, {2});
  }
  option(OptionId::tcp_slow_start_after_idle, {0});
  option(OptionId::tcp_notsent_lowat, {1, 4'096});
  option(OptionId::receive_buffer, {256, 2'000, 20'000, 4'000'000});
  option(OptionId::send_buffer, {256, 2'000, 20'000, 4'000'000});
  option(OptionId::tcp_syn_option_order, {1});
  return o;
}

std::string told(const TransferOptions& o) {
  std::ostringstream s;
  s << "seed " << o.seed << ": " << o.bytes << " bytes on " << o.connections << " connections"
    << (o.both_ways ? " both ways" : "") << (o.version == IpVersion::v6 ? ", IPv6" : ", IPv4")
    << (o.link == LinkType::ip ? " bare" : "") << ", mtu " << o.mtu << ", rtt " << o.rtt.count_us() << ", jitter "
    << o.jitter.count_us() << " us; ppm lost " << o.loss_ppm << ", reordered " << o.reorder_ppm << ", duplicated "
    << o.duplicate_ppm << ", corrupted " << o.corrupt_ppm << "; " << o.rate_bps << " bit/s, queue " << o.queue_packets
    << ", batch " << o.batch << (o.partitions.empty() ? "" : ", partition") << (o.software_gro ? "" : ", no GRO");
  for (const auto& [id, value] : o.options) s << ' ' << option_info(id).name << '=' << value;
  return s.str();
}

TEST(SimRandomTransfer, EveryByteArrives) {
  const std::uint64_t first = test::from_environment("LEAT_RANDOM_SEED", 1);
  const std::uint64_t count = test::from_environment("LEAT_RANDOM_TRANSFERS", 100);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const TransferOptions o = draw(seed);
    const TransferReport r = run_transfer(o);
    EXPECT_TRUE(r.ok) << r.problem << ": " << told(o);
    EXPECT_TRUE(r.pools_clean) << "packets were not given back: " << told(o);
  }
}

}  // namespace
}  // namespace leat::sim
