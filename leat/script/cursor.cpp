#include <leat/script/cursor.hpp>

namespace leat::script {

char Cursor::take() {
  if (at_end()) return '\0';
  const char c = text_[at_++];
  if (c == '\n') {
    ++position_.line;
    position_.column = 1;
  } else {
    ++position_.column;
  }
  return c;
}

void Cursor::skip() {
  while (!at_end()) {
    if (is_blank(peek())) {
      take();
    } else if (peek() == '#' || (peek() == '/' && peek(1) == '/')) {
      while (!at_end() && peek() != '\n') take();
    } else if (peek() == '/' && peek(1) == '*') {
      const Position start = position_;
      take();
      take();
      while (!at_end() && !(peek() == '*' && peek(1) == '/')) take();
      if (at_end()) return fail_at(start, "this comment does not end");
      take();
      take();
    } else {
      return;
    }
  }
}

bool Cursor::accept(std::string_view literal) {
  skip();
  if (failed() || text_.substr(at_, literal.size()) != literal) return false;
  for (std::size_t i = 0; i < literal.size(); ++i) take();
  return true;
}

void Cursor::expect(std::string_view literal, std::string_view where) {
  if (!accept(literal)) fail("expected '" + std::string{literal} + "' " + std::string{where});
}

std::string Cursor::word() {
  skip();
  std::string w;
  while (!at_end() && (is_letter(peek()) || is_digit(peek()))) w += take();
  return w;
}

std::string Cursor::peek_word() {
  skip();
  std::string w;
  while (is_letter(peek(w.size())) || is_digit(peek(w.size()))) w += peek(w.size());
  return w;
}

std::string Cursor::token() {
  skip();
  std::string t;
  while (!at_end() && !is_blank(peek())) t += take();
  return t;
}

std::uint64_t Cursor::number(std::string_view what, std::uint64_t max) {
  skip();
  const Position start = position_;
  std::uint64_t value = 0;
  const bool hex = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
  if (hex) {
    take();
    take();
  }
  const unsigned base = hex ? 16 : 10;
  const auto digit = [&] { return hex ? hex_digit(peek()) : (is_digit(peek()) ? peek() - '0' : -1); };
  if (failed() || digit() < 0) {
    fail("expected " + std::string{what} + ", a number");
    return 0;
  }
  while (!at_end() && digit() >= 0) {
    const auto d = static_cast<std::uint64_t>(digit());
    if (value > (max - d) / base || d > max) {
      fail_at(start, std::string{what} + " is larger than " + std::to_string(max));
      return 0;
    }
    value = value * base + d;
    take();
  }
  return value;
}

Duration Cursor::seconds() {
  skip();
  const Position start = position_;
  std::int64_t whole = 0;
  std::int64_t ns = 0;
  bool any = false;
  while (is_digit(peek()) && !failed()) {
    whole = whole * 10 + (take() - '0');
    any = true;
    if (whole > 1'000'000'000) fail_at(start, "a time of more than 1,000,000,000 seconds");
  }
  if (peek() == '.' && is_digit(peek(1))) {
    take();
    std::int64_t unit = 100'000'000;
    while (is_digit(peek()) && !failed()) {
      if (unit == 0) {
        fail_at(start, "a time is exact to the nanosecond: at most 9 digits behind the point");
        break;
      }
      ns += (take() - '0') * unit;
      unit /= 10;
    }
    any = true;
  }
  if (!any) fail_at(start, "expected a time in seconds");
  return failed() ? Duration{} : Duration::s(whole) + Duration::ns(ns);
}

std::string_view Cursor::until(std::string_view end, std::string_view what) {
  const Position start = position_;
  const std::size_t from = at_;
  while (!at_end()) {
    if (text_.substr(at_, end.size()) == end) {
      const std::string_view inside = text(from, at_);
      for (std::size_t i = 0; i < end.size(); ++i) take();
      return inside;
    }
    take();
  }
  fail_at(start, std::string{what} + " does not end: no '" + std::string{end} + "'");
  return {};
}

}  // namespace leat::script
