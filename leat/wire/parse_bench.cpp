#include <benchmark/benchmark.h>

#include <leat/wire/captured_test_support.hpp>
#include <leat/wire/ethernet.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/pretty_print.hpp>
#include <leat/wire/tcp_options.hpp>

namespace leat::wire {
namespace {

// A data segment with timestamps, as nearly all are.
captured::Bytes data_segment(bool v4) {
  captured::Bytes frame = captured::first(v4 ? captured::kTcpSynV4 : captured::kTcpSynV6, v4 ? 34 : 54);
  const std::size_t tcp = frame.size();
  frame.resize(tcp + 32 + 64, 0x5a);
  const TcpHeader header{Port{5000}, Port{80}, SeqNum{1}, SeqNum{2}, TcpFlag::ack | TcpFlag::psh, 500, 0};
  static_cast<void>(header.emit_with_timestamps(MutableByteSpan{frame}.subspan(tcp), 3, 4));
  if (v4) {
    auto ip = Ipv4View::parse_quoted(ByteSpan{frame}.subspan(14))->header();
    ip.payload_length = 96;
    static_cast<void>(ip.emit(MutableByteSpan{frame}.subspan(14)));
  } else {
    auto ip = Ipv6View::parse_quoted(ByteSpan{frame}.subspan(14))->header();
    ip.payload_length = 96;
    static_cast<void>(ip.emit(MutableByteSpan{frame}.subspan(14)));
  }
  return frame;
}

// What the receive path reads of every segment: all of Ethernet, IP (with its checksum) and TCP up to the timestamps.
template <class IpView>
bool read_segment(ByteSpan frame, FlowKey& key, std::uint32_t& sum) {
  const auto ethernet = EthernetView::parse(frame);
  if (!ethernet) return false;
  const auto ip = IpView::parse(ethernet->payload());
  if (!ip) return false;
  if constexpr (std::is_same_v<IpView, Ipv4View>) {
    if (ip->is_fragment() || ip->has_options() || !ip->checksum_ok()) return false;
  }
  const auto tcp = TcpView::parse(ip->payload(), ip->payload_length());
  if (!tcp) return false;
  key = {ip->destination(), ip->source(), tcp->destination_port(), tcp->source_port(), 0};
  std::uint32_t value = 0;
  std::uint32_t echo = 0;
  if (!fast_timestamps(tcp->options(), value, echo)) return false;
  sum = value + echo + tcp->seq().value() + tcp->ack().value() + tcp->flags().bits() + tcp->window() +
        static_cast<std::uint32_t>(tcp->payload_length());
  return true;
}

template <class IpView>
void parse_segment(benchmark::State& state) {
  const captured::Bytes frame = data_segment(std::is_same_v<IpView, Ipv4View>);
  ByteSpan bytes{frame};
  FlowKey key;
  std::uint32_t sum = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes);
    if (!read_segment<IpView>(bytes, key, sum)) return state.SkipWithError("the segment was refused");
    benchmark::DoNotOptimize(key);
    benchmark::DoNotOptimize(sum);
  }
}
BENCHMARK(parse_segment<Ipv4View>);
BENCHMARK(parse_segment<Ipv6View>);

void emit_segment(benchmark::State& state) {
  captured::Bytes frame = data_segment(true);
  Ipv4Header ip = Ipv4View::parse(ByteSpan{frame}.subspan(14))->header();
  TcpHeader tcp{Port{5000}, Port{80}, SeqNum{1}, SeqNum{2}, TcpFlag::ack, 500, 0};
  for (auto _ : state) {
    benchmark::DoNotOptimize(ip);
    benchmark::DoNotOptimize(tcp);
    const MutableByteSpan segment = MutableByteSpan{frame}.subspan(34);
    benchmark::DoNotOptimize(tcp.emit_with_timestamps(segment, 3, 4));
    TcpHeader::finish_checksum(segment.first(32), pseudo_header_sum(ip.source, ip.destination, 6, 32));
    benchmark::DoNotOptimize(ip.emit(MutableByteSpan{frame}.subspan(14)));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(emit_segment);

void parse_syn_options(benchmark::State& state) {
  const captured::Bytes options = captured::without_first(captured::kTcpSynV4, 54);
  for (auto _ : state) benchmark::DoNotOptimize(TcpOptions::parse(options));
}
BENCHMARK(parse_syn_options);

void print(benchmark::State& state) {
  std::array<char, kPrettyLength> out{};
  for (auto _ : state) benchmark::DoNotOptimize(print_frame(captured::kTcpSynV4, out));
}
BENCHMARK(print);

}  // namespace
}  // namespace leat::wire
