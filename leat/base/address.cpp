#include <algorithm>
#include <leat/base/address.hpp>
#include <leat/base/text_writer.hpp>

namespace leat {
namespace {

// The value of a hexadecimal digit, or 16.
constexpr unsigned hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return 16;
}

// The text before `end`, all of it for npos. std::string_view::substr would ask the linker for a throw.
std::string_view before(std::string_view text, std::size_t end) {
  return {text.data(), std::min(end, text.size())};
}

// A decimal number of 1 to 3 digits without a leading zero (which some readers take for octal), at most `most`.
std::optional<unsigned> parse_decimal(std::string_view text, unsigned most) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  unsigned value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value > most) return std::nullopt;
  return value;
}

std::optional<std::uint32_t> parse_v4(std::string_view text) {
  std::uint32_t value = 0;
  for (int part = 0; part < 4; ++part) {
    const std::size_t dot = text.find('.');
    if ((dot == std::string_view::npos) != (part == 3)) return std::nullopt;
    const auto octet = parse_decimal(before(text, dot), 255);
    if (!octet) return std::nullopt;
    value = (value << 8) | *octet;
    text.remove_prefix(dot == std::string_view::npos ? text.size() : dot + 1);
  }
  return value;
}

// RFC 4291 2.2: eight groups, one `::` for any number of zero groups, an IPv4 address for the last two.
std::optional<IpAddress> parse_v6(std::string_view text) {
  std::array<std::uint16_t, 8> groups{};
  std::size_t count = 0;
  constexpr std::size_t kNoGap = 9;
  std::size_t gap = kNoGap;  // the group before which `::` stands
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    const std::string_view group = before(text, colon);
    if (colon == std::string_view::npos && group.find('.') != std::string_view::npos) {
      const auto v4 = parse_v4(group);
      if (!v4 || count > 6) return std::nullopt;
      groups[count++] = static_cast<std::uint16_t>(*v4 >> 16);
      groups[count++] = static_cast<std::uint16_t>(*v4);
      break;
    }
    if (count == 8 || group.empty() || group.size() > 4) return std::nullopt;
    unsigned value = 0;
    for (const char c : group) {
      const unsigned digit = hex_value(c);
      if (digit == 16) return std::nullopt;
      value = (value << 4) | digit;
    }
    groups[count++] = static_cast<std::uint16_t>(value);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
    if (text.empty()) return std::nullopt;  // a single colon at the end
    if (text[0] == ':') {
      if (gap != kNoGap) return std::nullopt;
      gap = count;
      text.remove_prefix(1);
    }
  }
  if (gap == kNoGap) {
    if (count != 8) return std::nullopt;
  } else {
    if (count == 8) return std::nullopt;  // `::` stands for at least one group
    std::rotate(groups.begin() + static_cast<std::ptrdiff_t>(gap), groups.begin() + static_cast<std::ptrdiff_t>(count),
                groups.end());
  }
  return IpAddress::v6(groups);
}

void write(TextWriter& text, const IpAddress& a) {
  if (a.is_v4()) {
    for (std::size_t i = 0; i < 4; ++i) {
      if (i > 0) text.put('.');
      text.decimal(a.v4_bytes()[i]);
    }
    return;
  }
  // RFC 5952 4.2: `::` replaces the longest run of at least two zero groups, the first of equals; 4.1, 4.3: no leading
  // zeros, lower case.
  std::size_t best = 8;
  std::size_t best_length = 1;
  for (std::size_t i = 0; i < 8;) {
    std::size_t end = i;
    while (end < 8 && load_be16(&a.bytes()[2 * end]) == 0) ++end;
    if (end - i > best_length) {
      best = i;
      best_length = end - i;
    }
    i = end + 1;
  }
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == best) {
      text.put("::");
      i += best_length - 1;
      continue;
    }
    if (i > 0 && i != best + best_length) text.put(':');
    text.hex(load_be16(&a.bytes()[2 * i]), 1);
  }
}

}  // namespace

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress mac;
  for (std::size_t i = 0; i < 6; ++i) {
    const unsigned high = hex_value(text[3 * i]);
    const unsigned low = hex_value(text[3 * i + 1]);
    if (high == 16 || low == 16) return std::nullopt;
    if (i < 5 && text[3 * i + 2] != ':' && text[3 * i + 2] != '-') return std::nullopt;
    mac.bytes[i] = static_cast<std::uint8_t>((high << 4) | low);
  }
  return mac;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.find(':') != std::string_view::npos) return parse_v6(text);
  const auto value = parse_v4(text);
  if (!value) return std::nullopt;
  return v4(*value);
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view address_text = before(text, slash);
  const auto address = IpAddress::parse(address_text);
  if (!address) return std::nullopt;
  // A mapped address written in the IPv6 form counts its length over 128 bits.
  const bool written_as_v6 = address_text.find(':') != std::string_view::npos;
  const unsigned shift = written_as_v6 && address->is_v4() ? 96 : 0;
  const unsigned width = written_as_v6 ? 128 : 32;
  if (slash == std::string_view::npos) return IpPrefix{*address, static_cast<std::uint8_t>(width - shift)};
  text.remove_prefix(slash + 1);
  const auto length = parse_decimal(text, width);
  if (!length || *length < shift) return std::nullopt;
  return IpPrefix{*address, static_cast<std::uint8_t>(*length - shift)};
}

std::size_t format(const MacAddress& a, std::span<char> out) {
  TextWriter text{out};
  for (std::size_t i = 0; i < 6; ++i) {
    if (i > 0) text.put(':');
    text.hex(a.bytes[i], 2);
  }
  return text.length();
}

std::size_t format(const IpAddress& a, std::span<char> out) {
  TextWriter text{out};
  write(text, a);
  return text.length();
}

std::size_t format(const IpPrefix& p, std::span<char> out) {
  TextWriter text{out};
  write(text, p.address);
  text.put('/');
  text.decimal(p.length);
  return text.length();
}

std::size_t format(const Endpoint& e, std::span<char> out) {
  TextWriter text{out};
  const bool brackets = !e.address.is_v4();
  if (brackets) text.put('[');
  write(text, e.address);
  if (brackets) text.put(']');
  text.put(':');
  text.decimal(e.port.value());
  return text.length();
}

}  // namespace leat
