#pragma once
// For tests: frames captured from a Linux 6.18 host (10.0.0.1, 2001:db8::1) on an Ethernet TAP, and helpers to cut
// them.

#include <cstdint>
#include <leat/base/bytes.hpp>
#include <string_view>
#include <vector>

namespace leat::wire::captured {

using Bytes = std::vector<std::uint8_t>;

inline Bytes from_hex(std::string_view text) {
  const auto value = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(value(text[i]) * 16 + value(text[i + 1])));
  }
  return bytes;
}
// A copy in memory of exactly its size, so that a sanitizer sees a read past the end.
inline Bytes first(const Bytes& bytes, std::size_t n) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)};
}
inline Bytes without_first(const Bytes& bytes, std::size_t n) {
  return {bytes.begin() + static_cast<std::ptrdiff_t>(n), bytes.end()};
}

inline const Bytes kArpRequest =
    from_hex("ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000002");
// SYN to port 80 with mss 1460, sackOK, TS, nop, wscale 10.
inline const Bytes kTcpSynV4 = from_hex(
    "0200000000020200000000010800"
    "4500003c1f5f40004006075b0a0000010a000002"
    "81880050cb1d6df600000000a002faf087070000020405b40402080a3883be92000000000103030a");
inline const Bytes kTcpSynV6 = from_hex(
    "02000000000202000000000186dd"
    "600299570028064020010db800000000000000000000000120010db8000000000000000000000002"
    "dd520050baa18c7200000000a002fd20a4570000020405a00402080ad5ad50bf000000000103030a");
// "hello leat" to port 53.
inline const Bytes kUdpV4 = from_hex(
    "0200000000020200000000010800"
    "450000261854400040110e710a0000010a000002"
    "b25300350012277368656c6c6f206c656174");
// "odd" to port 53.
inline const Bytes kUdpV6 = from_hex(
    "02000000000202000000000186dd"
    "600c1143000b114020010db800000000000000000000000120010db8000000000000000000000002"
    "9cf70035000b33d26f6464");
inline const Bytes kPingV4 = from_hex(
    "0200000000020200000000010800"
    "45000054c777400040015f2f0a0000010a000002"
    "08005b2556d000014454016b0000000036770b0000000000101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
    "3031323334353637");
inline const Bytes kPingV6 = from_hex(
    "02000000000202000000000186dd"
    "600938b5001c3a4020010db800000000000000000000000120010db8000000000000000000000002"
    "8000edfb56d100014554016b000000006b820b000000000010111213");
// Duplicate address detection, with a nonce option.
inline const Bytes kDadSolicitation = from_hex(
    "3333ff00000102000000000186dd"
    "6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff000001"
    "870006b900000000fe80000000000000000000fffe0000010e01396b0e862072");
inline const Bytes kRouterSolicitation = from_hex(
    "33330000000202000000000186dd"
    "6000000000103afffe80000000000000000000fffe000001ff020000000000000000000000000002"
    "85007b2c000000000101020000000001");
// MLDv2 report behind a hop-by-hop header with a router alert.
inline const Bytes kMldReport = from_hex(
    "33330000001602000000000186dd"
    "600000000024000100000000000000000000000000000000ff020000000000000000000000000016"
    "3a000502000001008f006f890000000104000000ff0200000000000000000001ff000001");

}  // namespace leat::wire::captured
