#include <gtest/gtest.h>

#include <leat/base/rng.hpp>
#include <leat/wire/captured_test_support.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ipv6_ext.hpp>

namespace leat::wire {
namespace {

using namespace captured;
using Verdict = Ipv6Extensions::Verdict;

// Builds chains: each call appends a header whose next-header byte is filled in by the one after it.
class Chain {
 public:
  Chain& options(IpProtocol type, Bytes body) {
    while ((body.size() + 2) % 8 != 0) body.push_back(0);
    begin(type);
    bytes_.push_back(static_cast<std::uint8_t>((body.size() + 2) / 8 - 1));
    bytes_.insert(bytes_.end(), body.begin(), body.end());
    return *this;
  }
  Chain& routing(std::uint8_t type, std::uint8_t segments_left) {
    begin(IpProtocol::routing);
    for (const int b : {0, int{type}, int{segments_left}, 0, 0, 0, 0}) bytes_.push_back(static_cast<std::uint8_t>(b));
    return *this;
  }
  Chain& fragment(std::uint16_t offset, bool more, std::uint32_t id = 7) {
    begin(IpProtocol::fragment);
    Bytes header(8);
    static_cast<void>(Ipv6FragmentHeader{{}, offset, more, id}.emit(header));
    bytes_.insert(bytes_.end(), header.begin() + 1, header.end());
    return *this;
  }
  Chain& upper(IpProtocol type, std::size_t length) {
    begin(type);
    bytes_.pop_back();
    bytes_.resize(bytes_.size() + length, 0x55);
    return *this;
  }
  [[nodiscard]] Ipv6Extensions walk() const { return walk_extensions(first_, bytes_, bytes_.size()); }
  [[nodiscard]] IpProtocol first_header() const { return first_; }
  Bytes& bytes() { return bytes_; }

 private:
  void begin(IpProtocol type) {
    if (last_ == kNone) {
      first_ = type;
    } else {
      bytes_[last_] = static_cast<std::uint8_t>(type);
    }
    last_ = bytes_.size();
    bytes_.push_back(0xff);
  }
  static constexpr std::size_t kNone = ~std::size_t{0};
  Bytes bytes_;
  IpProtocol first_{};
  std::size_t last_ = kNone;
};

TEST(Ipv6Ext, WalksACapturedHopByHopHeader) {
  const Bytes packet = without_first(kMldReport, 14);
  const auto ip = Ipv6View::parse(packet);
  ASSERT_TRUE(ip);
  const auto chain = walk_extensions(ip->next_header(), ip->payload(), ip->payload_length());
  EXPECT_EQ(chain.verdict, Verdict::deliver);
  EXPECT_EQ(chain.protocol, IpProtocol::icmpv6);
  EXPECT_EQ(chain.payload_offset, 8);
  EXPECT_EQ(chain.next_header_at, 40);
  EXPECT_TRUE(chain.router_alert);
  EXPECT_EQ(chain.headers, 1);
}

TEST(Ipv6Ext, WalksTheWholeOrderOfRfc8200) {
  Chain c;
  c.options(IpProtocol::hop_by_hop, {1, 2, 0, 0})
      .options(IpProtocol::destination_options, {})
      .routing(4, 0)
      .options(IpProtocol::destination_options, Bytes(14, 0))
      .upper(IpProtocol::udp, 8);
  const auto chain = c.walk();
  EXPECT_EQ(chain.verdict, Verdict::deliver);
  EXPECT_EQ(chain.protocol, IpProtocol::udp);
  EXPECT_EQ(chain.payload_offset, 40);
  EXPECT_EQ(chain.next_header_at, 40 + 24);
  EXPECT_EQ(chain.headers, 4);
}

TEST(Ipv6Ext, NoExtensionMeansTheUpperLayerAtOnce) {
  const auto chain = walk_extensions(IpProtocol::tcp, Bytes(20), 20);
  EXPECT_EQ(chain.verdict, Verdict::deliver);
  EXPECT_EQ(chain.protocol, IpProtocol::tcp);
  EXPECT_EQ(chain.payload_offset, 0);
  EXPECT_EQ(chain.next_header_at, 6);
}

// RFC 8200 4.2 (attack row I9): the two high bits of an option that is not understood.
TEST(Ipv6Ext, UnknownOptionsSayWhatToDo) {
  const auto with = [](std::uint8_t type) {
    Chain c;
    c.options(IpProtocol::hop_by_hop, {1, 0, type, 2, 0, 0}).upper(IpProtocol::udp, 8);
    return c.walk();
  };
  EXPECT_EQ(with(0x1e).verdict, Verdict::deliver);
  EXPECT_EQ(with(0x5e).verdict, Verdict::discard);
  for (const std::uint8_t type : {std::uint8_t{0x9e}, std::uint8_t{0xde}}) {
    const auto chain = with(type);
    EXPECT_EQ(chain.verdict, Verdict::report);
    EXPECT_EQ(chain.report_code, 2);
    EXPECT_EQ(chain.report_pointer, 44U);
    EXPECT_EQ(chain.report_even_multicast, type == 0x9e);
  }
}

TEST(Ipv6Ext, TheFirstBadOptionDecides) {
  Chain c;
  c.options(IpProtocol::destination_options, {0x9e, 0, 0x5e, 0}).upper(IpProtocol::udp, 8);
  EXPECT_EQ(c.walk().verdict, Verdict::report);
  Chain d;
  d.options(IpProtocol::destination_options, {0x5e, 0, 0x9e, 0}).upper(IpProtocol::udp, 8);
  EXPECT_EQ(d.walk().verdict, Verdict::discard);
}

// Attack row I7.
TEST(Ipv6Ext, OptionLengthsBeyondTheHeaderAreDiscarded) {
  for (unsigned length = 5; length < 256; ++length) {
    Chain c;
    c.options(IpProtocol::hop_by_hop, {1, static_cast<std::uint8_t>(length), 0, 0, 0, 0}).upper(IpProtocol::udp, 8);
    EXPECT_EQ(c.walk().verdict, Verdict::discard) << length;
  }
  Chain cut;  // a type in the header's last byte has no length
  cut.options(IpProtocol::hop_by_hop, {1, 3, 0, 0, 0, 1}).upper(IpProtocol::udp, 8);
  EXPECT_EQ(cut.walk().verdict, Verdict::discard);
}

TEST(Ipv6Ext, HeaderLengthsBeyondThePacketAreDiscarded) {
  Chain c;
  c.options(IpProtocol::destination_options, {}).upper(IpProtocol::udp, 8);
  c.bytes()[1] = 255;
  EXPECT_EQ(c.walk().verdict, Verdict::discard);
  c.bytes()[1] = 1;  // swallows the UDP header: 16 bytes of options
  EXPECT_NE(c.walk().protocol, IpProtocol::udp);
}

TEST(Ipv6Ext, AHundredNestedHeadersEndAtTheCap) {
  Chain c;
  for (int i = 0; i < 100; ++i) c.options(IpProtocol::destination_options, {});
  c.upper(IpProtocol::udp, 8);
  const auto chain = c.walk();
  EXPECT_EQ(chain.verdict, Verdict::discard);
  EXPECT_EQ(chain.headers, kMaxExtensionHeaders);
  Chain d;
  for (std::size_t i = 0; i < kMaxExtensionHeaders; ++i) d.options(IpProtocol::destination_options, {});
  d.upper(IpProtocol::udp, 8);
  EXPECT_EQ(d.walk().verdict, Verdict::deliver);
}

// RFC 8200 4.1.
TEST(Ipv6Ext, HopByHopOptionsStandFirstOrNowhere) {
  Chain c;
  c.options(IpProtocol::destination_options, {}).options(IpProtocol::hop_by_hop, {}).upper(IpProtocol::udp, 8);
  const auto chain = c.walk();
  EXPECT_EQ(chain.verdict, Verdict::report);
  EXPECT_EQ(chain.report_code, 1);
  EXPECT_EQ(chain.report_pointer, 40U);
}

// RFC 8200 4.4, RFC 5095.
TEST(Ipv6Ext, RoutingHeadersWithSegmentsLeftAreReported) {
  Chain skipped;
  skipped.routing(0, 0).upper(IpProtocol::udp, 8);
  EXPECT_EQ(skipped.walk().verdict, Verdict::deliver);
  Chain c;
  c.options(IpProtocol::destination_options, {}).routing(0, 1).upper(IpProtocol::udp, 8);
  const auto chain = c.walk();
  EXPECT_EQ(chain.verdict, Verdict::report);
  EXPECT_EQ(chain.report_code, 0);
  EXPECT_EQ(chain.report_pointer, 40U + 8 + 2);
}

TEST(Ipv6Ext, AFragmentIsDescribedForReassembly) {
  Chain c;
  c.options(IpProtocol::destination_options, {}).fragment(1448, true, 0xdeadbeef).upper(IpProtocol::tcp, 16);
  const auto chain = c.walk();
  EXPECT_EQ(chain.verdict, Verdict::reassemble);
  EXPECT_EQ(chain.protocol, IpProtocol::tcp);
  EXPECT_EQ(chain.payload_offset, 16);
  EXPECT_EQ(chain.fragment, (Ipv6FragmentHeader{IpProtocol::tcp, 1448, true, 0xdeadbeef}));
  EXPECT_EQ(chain.fragment_header_offset, 8);
  EXPECT_EQ(chain.fragment_named_at, 40);
}

// RFC 6946 (attack row I11).
TEST(Ipv6Ext, AnAtomicFragmentIsDelivered) {
  Chain c;
  c.fragment(0, false).upper(IpProtocol::udp, 9);
  const auto chain = c.walk();
  EXPECT_EQ(chain.verdict, Verdict::deliver);
  EXPECT_TRUE(chain.has_fragment_header);
  EXPECT_EQ(chain.protocol, IpProtocol::udp);
  EXPECT_EQ(chain.payload_offset, 8);
}

TEST(Ipv6Ext, TwoFragmentHeadersAreRefused) {
  Chain c;
  c.fragment(0, false).fragment(8, true).upper(IpProtocol::udp, 8);
  EXPECT_EQ(c.walk().verdict, Verdict::discard);
}

// RFC 8200 4.5: lengths of fragments that can't be.
TEST(Ipv6Ext, ImpossibleFragmentLengthsAreReported) {
  Chain odd;
  odd.fragment(0, true).upper(IpProtocol::udp, 15);
  EXPECT_EQ(odd.walk().verdict, Verdict::report);
  EXPECT_EQ(odd.walk().report_pointer, 4U);
  Chain ping_of_death;
  ping_of_death.fragment(65'528, false).upper(IpProtocol::icmpv6, 8);
  EXPECT_EQ(ping_of_death.walk().verdict, Verdict::report);
  EXPECT_EQ(ping_of_death.walk().report_pointer, 42U);
  Chain last;
  last.fragment(65'528, false).upper(IpProtocol::icmpv6, 7);
  EXPECT_EQ(last.walk().verdict, Verdict::reassemble);
}

// RFC 7112 5 (attack row I10).
TEST(Ipv6Ext, AFirstFragmentMustHoldTheWholeChain) {
  Chain whole;
  whole.fragment(0, true).options(IpProtocol::destination_options, {}).upper(IpProtocol::tcp, 24);
  EXPECT_TRUE(whole.walk().whole_chain);
  Chain short_tcp;
  short_tcp.fragment(0, true).upper(IpProtocol::tcp, 16);
  EXPECT_FALSE(short_tcp.walk().whole_chain);
  Chain no_upper;
  no_upper.fragment(0, true).options(IpProtocol::destination_options, {});
  no_upper.bytes()[8] = static_cast<std::uint8_t>(IpProtocol::destination_options);
  EXPECT_EQ(no_upper.walk().verdict, Verdict::reassemble);
  EXPECT_FALSE(no_upper.walk().whole_chain);
  Chain later;
  later.fragment(8, true).upper(IpProtocol::tcp, 8);
  EXPECT_TRUE(later.walk().whole_chain);
}

TEST(Ipv6Ext, FragmentHeaderParseOfEmitIsTheSame) {
  const Ipv6FragmentHeader header{IpProtocol::udp, 65'528, false, 0x01020304};
  Chain c;
  c.fragment(header.offset, header.more_fragments, header.id).upper(header.next_header, 4);
  EXPECT_EQ(c.walk().fragment, header);
  Bytes out(7);
  EXPECT_EQ(header.emit(out), 0U);
}

TEST(Ipv6Ext, EveryTruncationEndsInDiscardOrAnHonestOffset) {
  Chain c;
  c.options(IpProtocol::hop_by_hop, {5, 2, 0, 0})
      .routing(0, 0)
      .fragment(0, true)
      .options(IpProtocol::destination_options, {})
      .upper(IpProtocol::udp, 8);
  for (std::size_t n = 0; n <= c.bytes().size(); ++n) {
    const Bytes cut = first(c.bytes(), n);
    const auto chain = walk_extensions(c.first_header(), cut, cut.size());
    EXPECT_LE(chain.payload_offset, n);
    if (n < 24) {
      EXPECT_EQ(chain.verdict, Verdict::discard) << n;
    }
    const auto skipped = skip_extensions(c.first_header(), cut);
    EXPECT_LE(skipped.offset, n);
    EXPECT_EQ(skipped.complete, n >= 32) << n;
  }
}

TEST(Ipv6Ext, RandomBytesNeverRunOutOfBounds) {
  Rng rng{{3, 4}};
  constexpr std::array<std::uint8_t, 5> kTypes{0, 43, 44, 60, 17};
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(rng.below(80));
    for (auto& b : bytes) b = static_cast<std::uint8_t>(rng.below(4) == 0 ? kTypes[rng.below(5)] : rng.below(3));
    const auto first_type = static_cast<IpProtocol>(kTypes[rng.below(5)]);
    const std::size_t total = bytes.size() + rng.below(2) * 1000;
    const auto chain = walk_extensions(first_type, bytes, total);
    ASSERT_LE(chain.payload_offset, bytes.size());
    ASSERT_LE(chain.headers, kMaxExtensionHeaders);
    ASSERT_LE(skip_extensions(first_type, bytes).offset, bytes.size());
  }
}

}  // namespace
}  // namespace leat::wire
