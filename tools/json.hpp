#pragma once
// Value: a JSON value that keeps the order of its keys, and its text. The rest of the command builds its output with
// it, so that only json.cpp includes the JSON library.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace leat::tools {

class Value {
 public:
  using Array = std::vector<Value>;
  using Object = std::vector<std::pair<std::string, Value>>;

  Value() : data_(Object{}) {}
  Value(bool v) : data_(v) {}                           // NOLINT(google-explicit-constructor)
  Value(int v) : data_(std::int64_t{v}) {}              // NOLINT(google-explicit-constructor)
  Value(unsigned v) : data_(std::uint64_t{v}) {}        // NOLINT(google-explicit-constructor)
  Value(std::int64_t v) : data_(v) {}                   // NOLINT(google-explicit-constructor)
  Value(std::uint64_t v) : data_(v) {}                  // NOLINT(google-explicit-constructor)
  Value(double v) : data_(v) {}                         // NOLINT(google-explicit-constructor)
  Value(std::string v) : data_(std::move(v)) {}         // NOLINT(google-explicit-constructor)
  Value(std::string_view v) : data_(std::string(v)) {}  // NOLINT(google-explicit-constructor)
  Value(const char* v) : data_(std::string(v)) {}       // NOLINT(google-explicit-constructor)
  Value(Array v) : data_(std::move(v)) {}               // NOLINT(google-explicit-constructor)
  Value(Object v) : data_(std::move(v)) {}              // NOLINT(google-explicit-constructor)

  // Appends a key to an object; returns the object, so that calls chain.
  Value& set(std::string_view key, Value value);
  Value& push(Value value);  // appends to an array

  [[nodiscard]] const std::variant<bool, std::int64_t, std::uint64_t, double, std::string, Array, Object>& data()
      const {
    return data_;
  }
  // The value of a key of an object; nullptr when it has none.
  [[nodiscard]] const Value* find(std::string_view key) const;
  // One line; with `pretty`, two blanks a level.
  [[nodiscard]] std::string dump(bool pretty = false) const;
  // A scalar as a table shows it.
  [[nodiscard]] std::string text() const;

 private:
  std::variant<bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> data_;
};

}  // namespace leat::tools
