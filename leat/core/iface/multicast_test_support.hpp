#pragma once
// A host on a link with multicast routers: what it says about groups, taken apart, and queries to it. IGMP (RFC 2236,
// 3376), MLD (RFC 2710, 3810).

#include <leat/core/iface/multicast.hpp>
#include <leat/wire/igmp.hpp>
#include <map>
#include <tests/support/test_host.hpp>

namespace leat::test {

inline const IpAddress kGroup = ip("239.1.2.3");
inline const IpAddress kOther = ip("239.1.2.4");
inline const IpAddress kGroup6 = ip("ff15::7");
inline const IpAddress kRouter = ip("10.0.0.254");
inline const IpAddress kRouter6 = ip("fe80::254");
inline const IpAddress kS1 = ip("10.9.0.1");
inline const IpAddress kS2 = ip("10.9.0.2");
inline const IpAddress kS3 = ip("10.9.0.3");
inline const IpAddress kV3Routers = ip("224.0.0.22");
inline const IpAddress kV2Routers6 = ip("ff02::16");

using Type = wire::MulticastRecordType;
struct Record {
  Type type{};
  IpAddress group{};
  std::vector<IpAddress> sources{};
  bool operator==(const Record&) const = default;
};
inline std::ostream& operator<<(std::ostream& out, const Record& r) {
  out << static_cast<int>(r.type) << ' ' << AddressText(r.group).view() << " {";
  for (const IpAddress& s : r.sources) out << ' ' << AddressText(s).view();
  return out << " }";
}

// One message about groups, whatever its protocol and version.
struct Said {
  IpAddress from, to;
  unsigned type = 0;              // of IGMP or ICMPv6
  IpAddress group{};              // older versions
  std::vector<Record> records{};  // current version
};

inline std::vector<Record> records_of(ByteSpan message, std::size_t address) {
  std::vector<Record> all;
  std::size_t at = 8;
  const auto read = [&] {
    const std::uint8_t* const p = &message[at];
    at += address;
    return address == 4 ? IpAddress::v4_wire(p) : IpAddress::v6_wire(p);
  };
  for (unsigned n = load_be16(&message[6]); n > 0; --n) {
    Record r{static_cast<Type>(message[at])};
    const unsigned sources = load_be16(&message[at + 2]);
    at += 4;
    r.group = read();
    for (unsigned k = 0; k < sources; ++k) r.sources.push_back(read());
    std::sort(r.sources.begin(), r.sources.end());
    all.push_back(r);
  }
  EXPECT_EQ(at, message.size());
  return all;
}

inline constexpr Limits kLimits{.iface = {.group_sources = 2048, .queried_sources = 96}};

struct Multicast : testing::Test {
  Multicast() { quiet(); }
  static HostOptions options() {
    HostOptions o;
    o.group_reports = true;
    return o;
  }
  void quiet(Duration d = Duration::s(20)) {
    host.advance(d);
    (void)host.sent();
  }
  Handle socket() { return host.stack().open_udp().value(); }
  Handle bound(unsigned port) {
    const Handle s = socket();
    EXPECT_TRUE(host.stack().bind(s, {IpAddress{}, Port{static_cast<std::uint16_t>(port)}}));
    return s;
  }
  Handle member(const GroupRequest& r) {
    const Handle s = socket();
    EXPECT_TRUE(host.stack().join_group(s, r));
    return s;
  }
  // What was said about groups since the last call; anything else that was sent is a mistake.
  std::vector<Said> said() {
    host.advance(Duration{});
    std::vector<Said> all;
    for (const Decoded& d : host.sent_decoded()) {
      Said s{.from = d.ip_source, .to = d.ip_destination};
      EXPECT_EQ(d.ttl, 1U);
      EXPECT_EQ(d.link->destination, d.ip_destination.multicast_mac());
      Bytes m;
      if (d.version == 4) {
        EXPECT_EQ(d.protocol, 2U);
        EXPECT_TRUE(d.checksums_ok);
        EXPECT_EQ(d.ip[0], 0x46);
        EXPECT_EQ(load_be32(&d.ip[20]), 0x94040000U) << "router alert";
        m = d.l4;
        EXPECT_EQ(checksum_finish(checksum_add(0, m)), 0U);
      } else {
        EXPECT_EQ(d.protocol, 0U);
        EXPECT_EQ(Bytes(d.l4.begin(), d.l4.begin() + 8), (Bytes{58, 0, 5, 2, 0, 0, 1, 0})) << "router alert";
        m.assign(d.l4.begin() + 8, d.l4.end());
        const Sum pseudo = pseudo_header_sum(d.ip_source, d.ip_destination, 58, static_cast<std::uint32_t>(m.size()));
        EXPECT_EQ(checksum_finish(checksum_add(pseudo, m)), 0U);
      }
      s.type = m[0];
      if (s.type == 0x22 || s.type == 143) {
        s.records = records_of(m, d.version == 4 ? 4 : 16);
        EXPECT_EQ(d.ip_destination, d.version == 4 ? kV3Routers : kV2Routers6);
      } else {
        s.group = d.version == 4 ? IpAddress::v4_wire(&m[4]) : IpAddress::v6_wire(&m[8]);
      }
      all.push_back(s);
    }
    return all;
  }
  // The records of the one report since the last call.
  std::vector<Record> report() {
    const auto all = said();
    EXPECT_EQ(all.size(), 1U);
    return all.size() == 1 ? all[0].records : std::vector<Record>{};
  }
  // That is said twice, once at once and once within a second, and then no more.
  void expect_twice(const std::vector<Record>& records) {
    EXPECT_EQ(report(), records);
    host.advance(Duration::s(1));
    EXPECT_EQ(report(), records) << "RFC 3376 5.1: robustness";
    host.advance(Duration::s(30));
    EXPECT_TRUE(said().empty());
  }
  void query(const wire::IgmpQuery& q, unsigned ttl = 1) {
    Bytes b(12);
    b.resize(q.emit(b));
    const IpAddress to = q.group.is_unspecified() ? ip("224.0.0.1") : q.group;
    igmp(b, to, ttl);
  }
  // About certain sources of a group.
  void query(wire::IgmpQuery q, const std::vector<IpAddress>& sources) {
    Bytes b(12);
    b.resize(q.emit(b));
    for (const IpAddress& s : sources) b = b + Bytes{s.bytes().begin() + 12, s.bytes().end()};
    store_be16(&b[10], static_cast<std::uint16_t>(sources.size()));
    store_be16(&b[2], 0);
    store_be16(&b[2], checksum_finish(checksum_add(0, b)));
    igmp(b, q.group);
  }
  void query(const wire::MldQuery& q, const std::vector<IpAddress>& sources) {
    Bytes b = mld_query(q);
    for (const IpAddress& s : sources) b = b + Bytes{s.bytes().begin(), s.bytes().end()};
    store_be16(&b[26], static_cast<std::uint16_t>(sources.size()));
    mld(b, q.group);
  }
  void igmp(const Bytes& message, const IpAddress& to, unsigned ttl = 1, const IpAddress& from = kRouter) {
    host.receive(ethernet(
        to.multicast_mac(), kPeerMac,
        ipv4({.source = from, .destination = to, .protocol = 2, .ttl = ttl, .options = {0x94, 4, 0, 0}}, message)));
  }
  void older_report(wire::IgmpType type, const IpAddress& group) {
    Bytes b(8);
    ASSERT_EQ((wire::IgmpV2Message{type, group}.emit(b)), 8U);
    igmp(b, group, 1, kPeer);
  }
  void mld(Bytes message, const IpAddress& to, const IpAddress& from = kRouter6, unsigned ttl = 1,
           const Bytes& before = {58, 0, 5, 2, 0, 0, 1, 0}) {
    wire::finish_icmpv6_checksum(message, from, to);
    host.receive(ethernet(to.multicast_mac(), kPeerMac,
                          ipv6({.source = from, .destination = to, .protocol = before.empty() ? 58U : 0U, .ttl = ttl},
                               before + message)));
  }
  static Bytes mld_query(const wire::MldQuery& q) {
    Bytes b(28);
    b.resize(q.emit(b));
    return b;
  }
  void query(const wire::MldQuery& q) { mld(mld_query(q), q.group.is_unspecified() ? ip("ff02::1") : q.group); }
  // A datagram to a group arrives; how many bytes each of these sockets got of it.
  bool hears(Handle s, const IpAddress& group, const IpAddress& from, unsigned port = 5000) {
    host.receive(
        ethernet(group.multicast_mac(), kPeerMac, udp_packet({.source = from, .destination = group}, 1, port, {1})));
    Bytes b(10);
    return host.stack().try_receive(s, b)->status == IoStatus::done;
  }
  // What a round of reports says in all, by type and group, and in how many messages; none says anything twice.
  std::size_t tell(std::map<std::pair<Type, IpAddress>, std::vector<IpAddress>>& told) {
    const auto all = said();
    for (const Said& s : all)
      for (const Record& r : s.records) {
        auto& sources = told[{r.type, r.group}];
        sources.insert(sources.end(), r.sources.begin(), r.sources.end());
      }
    for (auto& [key, sources] : told) std::sort(sources.begin(), sources.end());
    return all.size();
  }
  static std::vector<IpAddress> sources(std::uint32_t first, std::uint32_t count) {
    std::vector<IpAddress> all;
    for (std::uint32_t i = 0; i < count; ++i) all.push_back(IpAddress::v4(0x0a090000U + first + i));
    return all;
  }
  static std::vector<IpAddress> sources6(std::uint16_t count) {
    std::vector<IpAddress> all;
    for (std::uint16_t i = 1; i <= count; ++i) all.push_back(IpAddress::v6({0xfd09, 0, 0, 0, 0, 0, 0, i}));
    return all;
  }
  BasicTestHost<kLimits> host{options()};
};
using Told = std::map<std::pair<Type, IpAddress>, std::vector<IpAddress>>;

}  // namespace leat::test
