// One side of a ring in shared memory, whose other side writes whatever it likes into the region: what is read and
// written stays within the region (it is all that is allocated), no length exceeds a frame, and nothing takes longer.
// Input: a byte for the layout, then steps: what to do, and for a write of the other side where and what.
#include <cstdlib>
#include <leat/base/byte_reader.hpp>
#include <leat/sync/frame_ring_unsafe.hpp>
#include <memory>

namespace {

using namespace leat;  // NOLINT(google-build-using-namespace)

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in({data, size});
  const std::uint8_t first = in.u8();
  const sync::FrameRing::Layout layout{.slots = 1U << (first & 3), .frame_bytes = 8U + (first >> 2)};
  // Exactly what is needed, so that a step beyond is seen.
  struct Free {
    void operator()(std::uint8_t* p) const { std::free(p); }  // NOLINT: aligned_alloc's
  };
  const std::unique_ptr<std::uint8_t, Free> memory(
      static_cast<std::uint8_t*>(std::aligned_alloc(sync::FrameRing::kLine, layout.bytes_needed())));
  const MutableByteSpan region{memory.get(), layout.bytes_needed()};
  sync::FrameRing writer(region, layout, true);
  sync::FrameRing reader(region, layout, false);
  unsigned sum = 0;
  while (in.ok() && in.remaining() > 0) {
    switch (in.u8() % 8) {
      case 0:
      case 1: {  // the other side
        const std::size_t at = in.be16() % (region.size() / 4) * 4;
        store_be32(&region[at], in.be32());
        break;
      }
      case 2: {
        const MutableByteSpan to = writer.reserve();
        require(to.empty() || to.size() == layout.frame_bytes);
        std::ranges::fill(to, std::uint8_t{1});
        if (!to.empty()) writer.publish(in.u8() % (layout.frame_bytes + 1));
        break;
      }
      case 3:
        if (const auto frame = reader.front()) {
          require(frame->size() <= layout.frame_bytes);
          for (const std::uint8_t b : *frame) sum += b;
          reader.release();
        }
        break;
      case 4:
        sum += writer.must_ring() ? 1 : 0;
        break;
      case 5:
        if (!reader.before_sleep()) require(!reader.empty());
        break;
      case 6:
        reader.after_sleep();
        break;
      default:  // one that comes anew
        reader = sync::FrameRing(region, layout, false);
        break;
    }
  }
  return sum == 0xffffffffU ? 1 : 0;
}
