// The host's side of IGMP and MLD: sockets join, leave and filter while queries, reports and nonsense of all versions
// come in and time passes, with tables of a few records and allocations that fail. After each step every invariant
// holds; what is said about groups is well-formed and fits the MTU; at the end every packet is back in the pool.
#include <algorithm>
#include <array>
#include <fuzz/stack_memory.hpp>
#include <leat/base/byte_reader.hpp>
#include <leat/core/all_modules.hpp>
#include <leat/core/stack.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/wire/igmp.hpp>
#include <leat/wire/mld.hpp>
#include <optional>
#include <tests/support/packet_builder.hpp>

namespace {

using namespace leat;        // NOLINT(google-build-using-namespace)
using namespace leat::test;  // NOLINT(google-build-using-namespace)

constexpr Limits kLimits = [] {
  Limits l;
  l.sockets = 6;
  l.iface.groups = 6;
  l.iface.memberships = 5;
  l.iface.group_sources = 8;
  l.iface.queried_sources = 3;
  return l;
}();
constexpr PoolLayout kLayout{.packets = 64, .chunks = {64, 64, 0}, .reserve = 8};
using Memory = StackMemory<kLimits, kLayout>;
constexpr std::uint32_t kMtu = 1280;
constexpr int kMostSteps = 200;

class World {
 public:
  explicit World(ByteSpan input)
      : in_(input),
        pool_(Memory::region(), kLayout),
        storage_(Memory::storage()),
        stack_(std::in_place, storage_->view(pool_), kAllModules, Entropy{{1, 2, 3, 4}}, now_) {
    link_ = stack_->add_interface({.name = "f0", .link = LinkType::ip, .mtu = kMtu}).value();
    for (const char* address : {"10.0.0.1", "fe80::1", "fd00::1"})
      LEAT_ASSERT(stack_->add_address(
          link_, {test::ip(address), static_cast<std::uint8_t>(test::ip(address).is_v4() ? 24 : 64)}));
    for (Handle& h : sockets_) h = stack_->open_udp().value();
  }

  void run() {
    for (int step = 0; step < kMostSteps && in_.ok() && in_.remaining() > 0; ++step) {
      one_step();
      stack_->check_invariants();
    }
    pool_.fail_allocation(0);
    for (const Handle h : sockets_) LEAT_ASSERT(stack_->close(h));
    for (int i = 0; i < 8; ++i) advance(Duration::s(1));
    stack_->check_invariants();
    stack_.reset();
    LEAT_ASSERT(pool_.all_free());
  }

 private:
  IpAddress group(bool v6) {
    const unsigned n = in_.u8() % 6;
    if (n == 5) return v6 ? test::ip("ff02::1") : test::ip("224.0.0.1");
    return v6 ? IpAddress::v6({0xff02, 0, 0, 0, 0, 0, 1, static_cast<std::uint16_t>(n)})
              : IpAddress::v4(239, 0, 0, static_cast<std::uint8_t>(n));
  }
  IpAddress source(bool v6) {
    const unsigned n = in_.u8() % 6;
    return v6 ? IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 2, static_cast<std::uint16_t>(n)})
              : IpAddress::v4(10, 0, 2, static_cast<std::uint8_t>(n));
  }

  void one_step() {
    const unsigned what = in_.u8();
    const bool v6 = (what & 16) != 0;
    const Handle h = sockets_[(what >> 5) % sockets_.size()];
    GroupRequest request;
    switch (what % 16) {
      case 0:
      case 1:
        request.group = group(v6);
        if (what % 16 == 1) request.source = source(v6);
        request.interface = link_;
        (void)stack_->join_group(h, request);
        break;
      case 2:
      case 3:
        request.group = group(v6);
        if (what % 16 == 3) request.source = source(v6);
        request.interface = link_;
        (void)stack_->leave_group(h, request);
        break;
      case 4:
        request = {.group = group(v6), .source = source(v6), .interface = link_};
        (void)stack_->block_source(h, request);
        break;
      case 5:
        request = {.group = group(v6), .source = source(v6), .interface = link_};
        (void)stack_->unblock_source(h, request);
        break;
      case 6: {
        request = {.group = group(v6), .source = {}, .interface = link_};
        std::array<IpAddress, 4> sources;
        const unsigned how = in_.u8();
        for (IpAddress& s : sources) s = source(v6);
        const FilterMode mode = (how & 1) != 0 ? FilterMode::include : FilterMode::exclude;
        (void)stack_->set_source_filter(h, request, mode, std::span{sources}.first(how / 2 % 5));
        FilterMode got{};
        const auto count = stack_->source_filter(h, request, got, sources);
        LEAT_ASSERT(!count || *count <= sources.size());
        break;
      }
      case 7:
        advance(Duration::us(std::int64_t{1} << (in_.u8() % 34)));
        break;
      case 8:
        pool_.fail_allocation(1U + in_.u8() % 8, (what & 32) != 0);
        break;
      case 9:
        pool_.fail_allocation(0);
        break;
      case 10:
      case 11:
        query(v6);
        break;
      case 12:
        older(v6);
        break;
      case 13: {  // anything, with a right checksum
        const ByteSpan raw = in_.bytes(std::min<std::size_t>(in_.u8(), in_.remaining()));
        message(Bytes(raw.begin(), raw.end()), v6, group(v6));
        break;
      }
      case 14:
        (void)stack_->set_interface_up(link_, (what & 32) != 0);
        break;
      default:
        receive(udp_packet({.source = source(v6), .destination = group(v6)}, 1, 5000, pattern(8)));
        break;
    }
  }

  void query(bool v6) {
    const unsigned how = in_.u8();
    const unsigned wait = in_.be16();
    const IpAddress about = (how & 1) != 0 ? IpAddress::any(v6 ? IpVersion::v6 : IpVersion::v4) : group(v6);
    Bytes b(28);
    if (v6) {
      b.resize(wire::MldQuery{.max_response_ms = wait, .group = about}.emit(b));
    } else {
      b.resize(wire::IgmpQuery{.max_response_ms = wait, .group = about}.emit(b));
    }
    const unsigned sources = (how & 2) != 0 ? how / 4 % 8 : 0;
    if (b.size() >= 12) {
      for (unsigned i = 0; i < sources; ++i) {
        const IpAddress s = source(v6);
        const ByteSpan wire = s.wire();
        b.insert(b.end(), wire.begin(), wire.end());
      }
      // The count may lie.
      store_be16(&b[v6 ? 26 : 10], static_cast<std::uint16_t>((how & 128) != 0 ? in_.be16() : sources));
      if ((how & 64) != 0) b.resize(v6 ? 24 : 8);  // an older version
    }
    message(b, v6, about.is_unspecified() ? (v6 ? test::ip("ff02::1") : test::ip("224.0.0.1")) : about);
  }
  void older(bool v6) {
    const IpAddress about = group(v6);
    const unsigned type = in_.u8();
    Bytes b(v6 ? 24 : 8);
    b[0] = static_cast<std::uint8_t>(v6 ? 131 + type % 2 : (type % 3 == 0 ? 0x12 : type % 3 == 1 ? 0x16 : 0x17));
    std::ranges::copy(about.wire(), b.end() - static_cast<std::ptrdiff_t>(about.wire().size()));
    message(b, v6, about);
  }

  void message(Bytes b, bool v6, const IpAddress& to) {
    const unsigned odd = in_.u8();
    const unsigned ttl = odd == 1 ? 64 : 1;
    const IpAddress from = odd == 2 ? source(v6) : v6 ? test::ip("fe80::99") : test::ip("10.0.0.99");
    if (b.size() >= 4) {
      store_be16(&b[2], 0);
      const Sum pseudo = v6 ? pseudo_header_sum(from, to, 58, static_cast<std::uint32_t>(b.size())) : Sum{0};
      store_be16(&b[2], checksum_finish(checksum_add(pseudo, b)));
    }
    const Bytes alert = odd == 3 ? Bytes{} : v6 ? Bytes{58, 0, 5, 2, 0, 0, 1, 0} : Bytes{0x94, 4, 0, 0};
    receive(v6 ? ipv6({.source = from, .destination = to, .protocol = alert.empty() ? 58U : 0U, .ttl = ttl}, alert + b)
               : ipv4({.source = from, .destination = to, .protocol = 2, .ttl = ttl, .options = alert}, b));
  }
  void receive(const Bytes& bytes) {
    Packet p = pool_.allocate_for(static_cast<std::uint32_t>(bytes.size()));
    if (!p) return;
    std::ranges::copy(bytes, p.append(static_cast<std::uint32_t>(bytes.size())).begin());
    PacketBatch batch;
    batch.push(std::move(p));
    stack_->input(link_, batch, now_);
    LEAT_ASSERT(batch.empty());
  }

  void advance(Duration d) {
    const Instant until = now_ + d;
    for (int i = 0; i < 200; ++i) {
      stack_->run_timers(now_);
      drain();
      const Instant next = stack_->next_deadline();
      if (next > until) break;
      if (next > now_) now_ = next;
    }
    now_ = until;
    stack_->run_timers(now_);
    drain();
  }
  void drain() {
    PacketBatch batch;
    for (int i = 0; i < 64 && stack_->has_output(link_); ++i) {
      stack_->output(link_, batch, now_);
      for (Packet& p : batch) look_at(p);
      batch.clear();
    }
  }
  static void look_at(Packet& p) {
    LEAT_ASSERT(complete_checksum(p, LinkType::ip));
    LEAT_ASSERT(p.size() <= kMtu);
    Bytes bytes(p.size());
    p.copy_out(0, bytes);
    const Decoded d = decode_ip(bytes);
    LEAT_ASSERT(!(d.version == 4 && d.protocol == 2) || checksum_finish(checksum_add(0, d.l4)) == 0);
    if (d.version == 4 && d.protocol == 2 && d.l4.at(0) == 0x22) LEAT_ASSERT(wire::IgmpReportReader::parse(d.l4));
  }

  ByteReader in_;
  Instant now_ = Instant::from_ns(1'000'000'000);
  PacketPool pool_;
  StackStorage<kLimits>* storage_;
  std::optional<Stack> stack_;
  InterfaceId link_ = kNoInterface;
  std::array<Handle, 4> sockets_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World({data, size}).run();
  return 0;
}
