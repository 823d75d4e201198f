#include <algorithm>
#include <bench/bare_echo.hpp>
#include <leat/wire/arp.hpp>
#include <leat/wire/ethernet.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/tcp.hpp>

namespace leat::bench {
namespace {

using wire::TcpFlag;

constexpr std::size_t kIp = wire::EthernetHeader::kLength;
constexpr std::size_t kMssOption = 4;

bool answer_arp(MutableByteSpan packet, const MacAddress& mac, const IpAddress& address) {
  const auto arp = wire::ArpView::parse(packet);
  if (!arp || arp->operation() != wire::ArpOperation::request || arp->target_ip() != address) return false;
  const wire::ArpHeader reply{.operation = wire::ArpOperation::reply,
                              .sender_mac = mac,
                              .sender_ip = address,
                              .target_mac = arp->sender_mac(),
                              .target_ip = arp->sender_ip()};
  return reply.emit(packet) > 0;
}

bool answer_tcp(MutableByteSpan packet, const IpAddress& address) {
  const auto ip = wire::Ipv4View::parse(packet);
  if (!ip || ip->protocol() != wire::IpProtocol::tcp || ip->destination() != address) return false;
  const auto tcp = wire::TcpView::parse(ip->payload());
  if (!tcp || tcp->flags().has(TcpFlag::rst) || tcp->sequence_length() == 0) return false;
  const bool syn = tcp->flags().has(TcpFlag::syn);
  const std::size_t options = tcp->header_length() - wire::TcpHeader::kLength;
  wire::TcpHeader reply = tcp->header();
  std::swap(reply.source_port, reply.destination_port);
  // The peer's first number is ours, too: what is sent back has the numbers that it came with, in any order.
  reply.seq = tcp->seq();
  reply.ack = tcp->seq() + tcp->sequence_length();
  reply.flags = tcp->flags().only(TcpFlag::syn | TcpFlag::fin) | TcpFlag::ack;
  if (tcp->payload_length() > 0) reply.flags |= TcpFlag::psh;
  const MutableByteSpan header = packet.subspan(ip->header_length());
  const std::uint16_t checksum = tcp->checksum();
  (void)reply.emit(header, options);
  store_be16(&header[wire::TcpHeader::kChecksumOffset], checksum);
  // Linux begins with the MSS, which suits both sides; the rest is declined, so that no later segment has options.
  if (syn && options > kMssOption)
    std::ranges::fill(header.subspan(wire::TcpHeader::kLength + kMssOption, options - kMssOption), std::uint8_t{1});
  std::swap_ranges(&packet[12], &packet[16], &packet[16]);
  return true;
}

}  // namespace

bool turn_round(MutableByteSpan frame, const MacAddress& mac, const IpAddress& address) {
  const auto link = wire::EthernetView::parse(frame);
  if (!link) return false;
  const MutableByteSpan packet = frame.subspan(kIp);
  const wire::EthernetHeader back{link->source(), mac, link->type()};
  const bool answered = back.type == wire::EtherType::arp    ? answer_arp(packet, mac, address)
                        : back.type == wire::EtherType::ipv4 ? answer_tcp(packet, address)
                                                             : false;
  return answered && back.emit(frame) > 0;
}

}  // namespace leat::bench
