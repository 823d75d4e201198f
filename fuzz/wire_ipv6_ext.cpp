// The walk over IPv6 extension headers: bounded, inside the bytes, and of one mind with the walk that only skips.
// Input: the first next-header value, two bytes of length that lies in other buffers, the payload.
#include <leat/base/assert.hpp>
#include <leat/wire/ipv6_ext.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace leat::wire;
  using Verdict = Ipv6Extensions::Verdict;
  if (size < 3) return 0;
  const auto first = static_cast<IpProtocol>(data[0]);
  const leat::ByteSpan payload{data + 3, size - 3};
  const auto chain = walk_extensions(first, payload, payload.size() + leat::load_be16(data + 1));
  LEAT_ASSERT(chain.headers <= kMaxExtensionHeaders);
  LEAT_ASSERT(chain.payload_offset <= payload.size());
  const auto skipped = skip_extensions(first, payload);
  LEAT_ASSERT(skipped.offset <= payload.size());
  switch (chain.verdict) {
    case Verdict::deliver:
      LEAT_ASSERT(!is_extension(chain.protocol));
      LEAT_ASSERT(skipped.complete && skipped.protocol == chain.protocol && skipped.offset == chain.payload_offset);
      break;
    case Verdict::reassemble:
      LEAT_ASSERT(chain.has_fragment_header && (chain.fragment.more_fragments || chain.fragment.offset != 0));
      LEAT_ASSERT(chain.fragment.offset % 8 == 0);
      LEAT_ASSERT(chain.payload_offset == chain.fragment_header_offset + Ipv6FragmentHeader::kLength);
      break;
    case Verdict::report:
      LEAT_ASSERT(chain.report_code <= 2 && chain.report_pointer < 40 + payload.size());
      break;
    case Verdict::discard:
      break;
  }
  return 0;
}
