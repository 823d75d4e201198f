#pragma once
// A TCP echo without a stack, for what a stack over a TAP can't go below: it turns a frame round, in place. That needs
// no state, and no checksum either as long as the kernel leaves those unfinished: addresses and ports change places,
// and what the checksum field then holds (the sum of the pseudo header) stays the same.
//
//   if (turn_round(frame, our_mac, our_address)) write it back, behind the vnet header that it came with
//
// It knows ARP requests for its address, SYN, data and FIN of one peer that loses nothing. Threading: pure.

#include <leat/base/address.hpp>
#include <leat/base/bytes.hpp>

namespace leat::bench {

// Makes the answer of an Ethernet frame, which is as long. False: it wants none.
[[nodiscard]] bool turn_round(MutableByteSpan frame, const MacAddress& mac, const IpAddress& address);

}  // namespace leat::bench
