#pragma once
// Buffer sequences of Boost.Asio as the spans of an Op. Longer sequences are cut: *_some functions move less than
// asked for anyway. Threading: values.

#include <array>
#include <boost/asio/buffer.hpp>
#include <leat/base/bytes.hpp>
#include <span>

namespace leat::asio::detail {

inline constexpr std::size_t kMostSpans = 16;

template <class Span, class Byte>
class spans {
 public:
  template <class Sequence>
  std::span<const Span> set(const Sequence& sequence) {
    count_ = 0;
    auto at = boost::asio::buffer_sequence_begin(sequence);
    const auto end = boost::asio::buffer_sequence_end(sequence);
    for (; at != end && count_ < kMostSpans; ++at) {
      const auto& buffer = *at;
      if (buffer.size() > 0) spans_[count_++] = {static_cast<Byte*>(buffer.data()), buffer.size()};
    }
    return {spans_.data(), count_};
  }

 private:
  std::array<Span, kMostSpans> spans_{};
  std::size_t count_ = 0;
};
using from_spans = spans<ByteSpan, const std::uint8_t>;
using to_spans = spans<MutableByteSpan, std::uint8_t>;

}  // namespace leat::asio::detail
