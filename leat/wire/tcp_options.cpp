#include <algorithm>
#include <leat/base/byte_writer.hpp>
#include <leat/wire/tcp_options.hpp>

namespace leat::wire {
namespace {

constexpr std::uint8_t kind_value(TcpOptionKind kind) {
  return static_cast<std::uint8_t>(kind);
}

// RFC 7413 4.1.1: kind 34, an even number of 4 to 16 cookie bytes, or none.
constexpr bool is_cookie_length(std::size_t n) {
  return n == 0 || (n >= 4 && n <= TcpOptions::kMaxCookie && n % 2 == 0);
}

// `body` is the option without kind and length.
void parse_one(TcpOptions& result, std::uint8_t kind, ByteSpan body) {
  switch (static_cast<TcpOptionKind>(kind)) {
    case TcpOptionKind::mss:
      if (body.size() == 2) result.mss = load_be16(body.data());
      return;
    case TcpOptionKind::window_scale:
      // RFC 7323 2.3: a shift count above 14 is used as 14.
      if (body.size() == 1) result.window_scale = std::min(body[0], TcpOptions::kMaxWindowScale);
      return;
    case TcpOptionKind::sack_permitted:
      if (body.empty()) result.sack_permitted = true;
      return;
    case TcpOptionKind::sack:
      // RFC 2018 3: pairs of 32-bit edges.
      if (body.empty() || body.size() % 8 != 0) return;
      result.sack_count = 0;
      for (; body.size() >= 8; body = body.subspan(8)) {
        result.add_sack({SeqNum{load_be32(&body[0])}, SeqNum{load_be32(&body[4])}});
      }
      return;
    case TcpOptionKind::timestamps:
      if (body.size() == 8) result.timestamps = TcpTimestamps{load_be32(&body[0]), load_be32(&body[4])};
      return;
    case TcpOptionKind::fast_open:
      if (is_cookie_length(body.size())) result.fast_open = body;
      return;
    case TcpOptionKind::end:
    case TcpOptionKind::nop:
      break;
  }
  ++result.unknown;
}

// Writes options of a known kind and brings them to the alignment that receivers like.
class OptionWriter {
 public:
  explicit OptionWriter(MutableByteSpan out) : w_(out) {}
  void kind(TcpOptionKind kind, std::size_t length) {
    w_.be16(static_cast<std::uint16_t>(kind_value(kind) << 8 | static_cast<std::uint8_t>(length)));
  }
  // NOPs until the length is `remainder` modulo 4.
  void align(std::size_t remainder) {
    while (w_.ok() && w_.size() % 4 != remainder) w_.u8(kind_value(TcpOptionKind::nop));
  }
  void mss(std::uint16_t value) { w_.be32(std::uint32_t{kind_value(TcpOptionKind::mss)} << 24 | 4U << 16 | value); }
  // A NOP before it: four bytes at an alignment of 0.
  void window_scale(std::uint8_t shift) {
    align(0);
    w_.be32(std::uint32_t{kind_value(TcpOptionKind::nop)} << 24 | kind_value(TcpOptionKind::window_scale) << 16 |
            3U << 8 | shift);
  }
  void timestamps(const TcpTimestamps& t) {
    kind(TcpOptionKind::timestamps, 10);
    w_.be32(t.value);
    w_.be32(t.echo);
  }
  void sack(std::span<const SackBlock> blocks) {
    const std::size_t taken = (6 - w_.size() % 4) % 4 + 2;  // NOPs, kind and length
    const std::size_t room = w_.remaining() < taken ? 0 : (w_.remaining() - taken) / 8;
    blocks = blocks.first(std::min(blocks.size(), room));
    if (blocks.empty()) return;
    align(2);
    kind(TcpOptionKind::sack, 2 + 8 * blocks.size());
    for (const SackBlock& block : blocks) {
      w_.be32(block.left.value());
      w_.be32(block.right.value());
    }
  }
  void fast_open(ByteSpan cookie) {
    kind(TcpOptionKind::fast_open, 2 + cookie.size());
    w_.bytes(cookie);
  }
  ByteWriter& writer() { return w_; }

 private:
  ByteWriter w_;
};

}  // namespace

bool TcpOptions::operator==(const TcpOptions& o) const {
  const auto same_cookie = [&] {
    if (fast_open.has_value() != o.fast_open.has_value()) return false;
    return !fast_open || std::ranges::equal(*fast_open, *o.fast_open);
  };
  return mss == o.mss && window_scale == o.window_scale && sack_permitted == o.sack_permitted &&
         malformed == o.malformed && unknown == o.unknown && timestamps == o.timestamps &&
         std::ranges::equal(sack(), o.sack()) && same_cookie();
}

TcpOptions TcpOptions::parse(ByteSpan options) {
  TcpOptions result;
  for (std::size_t i = 0; i < options.size();) {
    const std::uint8_t kind = options[i];
    if (kind == kind_value(TcpOptionKind::end)) break;
    if (kind == kind_value(TcpOptionKind::nop)) {
      ++i;
      continue;
    }
    // RFC 9293 3.1: the length counts kind and length; what is less or more than there is can't be skipped.
    if (i + 1 >= options.size() || options[i + 1] < 2 || options[i + 1] > options.size() - i) {
      result.malformed = true;
      break;
    }
    const std::size_t length = options[i + 1];
    parse_one(result, kind, options.subspan(i + 2, length - 2));
    i += length;
  }
  return result;
}

std::size_t TcpOptions::emit(MutableByteSpan out, TcpOptionOrder order) const {
  OptionWriter w{out.first(std::min(out.size(), TcpHeader::kMaxOptions))};
  if (mss) w.mss(*mss);
  switch (order) {
    case TcpOptionOrder::mss_sack_timestamps_scale:
      if (sack_permitted) {
        if (!timestamps) w.align(2);
        w.kind(TcpOptionKind::sack_permitted, 2);
      }
      if (timestamps) {
        w.align(2);
        w.timestamps(*timestamps);
      }
      if (window_scale) {
        w.window_scale(*window_scale);
      }
      break;
    case TcpOptionOrder::mss_scale_sack_timestamps:
      if (window_scale) {
        w.window_scale(*window_scale);
      }
      if (sack_permitted) w.kind(TcpOptionKind::sack_permitted, 2);
      if (timestamps) {
        w.align(2);
        w.timestamps(*timestamps);
      }
      break;
  }
  // A cookie is a condition for data in the SYN, and SACK blocks are advice: the cookie has the room first.
  if (fast_open) w.fast_open(*fast_open);
  if (sack_count > 0) w.sack(sack());
  w.align(0);
  return w.writer().ok() ? w.writer().size() : 0;
}

}  // namespace leat::wire
