#pragma once
// Cursor: walks over a script's text and knows line and column. Failure is sticky: the first message stays, every call
// after it answers "nothing", so that a parser need not look after each step.
//
// Threading: one owner; borrows the text.

#include <cstdint>
#include <leat/script/script.hpp>
#include <string>
#include <string_view>

namespace leat::script {

class Cursor {
 public:
  explicit Cursor(std::string_view text, Position start = {}) : text_(text), position_(start) {}

  [[nodiscard]] bool failed() const { return error_.has_value(); }
  [[nodiscard]] const std::optional<Diagnostic>& error() const { return error_; }
  void fail(std::string message) { fail_at(position_, std::move(message)); }
  void fail_at(Position at, std::string message) {
    if (!error_) error_ = Diagnostic{at, std::move(message)};
  }

  [[nodiscard]] Position position() const { return position_; }
  [[nodiscard]] std::size_t offset() const { return at_; }
  [[nodiscard]] std::string_view text(std::size_t from, std::size_t to) const { return text_.substr(from, to - from); }
  // The character `ahead` of here; 0 behind the end.
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  [[nodiscard]] bool at_end() const { return failed() || at_ >= text_.size(); }

  char take();
  // Blanks, newlines and comments.
  void skip();
  // After blanks: is this text next? Takes it.
  bool accept(std::string_view literal);
  void expect(std::string_view literal, std::string_view where);
  // After blanks: letters, digits and underscores; empty when there are none.
  [[nodiscard]] std::string word();
  [[nodiscard]] std::string peek_word();
  // After blanks: everything to the next blank.
  [[nodiscard]] std::string token();
  // An unsigned number, decimal or 0x hexadecimal. Fails, and answers 0, without one or above `max`.
  [[nodiscard]] std::uint64_t number(std::string_view what, std::uint64_t max);
  // Seconds with a fraction, exact to the nanosecond.
  [[nodiscard]] Duration seconds();
  // Everything up to `end`, which is taken and not returned.
  [[nodiscard]] std::string_view until(std::string_view end, std::string_view what);

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  Position position_;
  std::optional<Diagnostic> error_;
};

[[nodiscard]] constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
[[nodiscard]] constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
[[nodiscard]] constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
[[nodiscard]] constexpr int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace leat::script
