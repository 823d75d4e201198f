#include "json.hpp"

#include <nlohmann/json.hpp>

#include "text.hpp"

namespace leat::tools {

namespace {

using Json = nlohmann::ordered_json;

struct ToJson {
  Json operator()(const Value::Array& array) const {
    Json j = Json::array();
    for (const Value& v : array) j.push_back(std::visit(*this, v.data()));
    return j;
  }
  Json operator()(const Value::Object& object) const {
    Json j = Json::object();
    for (const auto& [key, v] : object) j[key] = std::visit(*this, v.data());
    return j;
  }
  template <class T>
  Json operator()(const T& scalar) const {
    return Json(scalar);
  }
};

}  // namespace

Value& Value::set(std::string_view key, Value value) {
  std::get<Object>(data_).emplace_back(std::string(key), std::move(value));
  return *this;
}

Value& Value::push(Value value) {
  std::get<Array>(data_).push_back(std::move(value));
  return *this;
}

const Value* Value::find(std::string_view key) const {
  if (const auto* object = std::get_if<Object>(&data_))
    for (const auto& [name, value] : *object)
      if (name == key) return &value;
  return nullptr;
}

std::string Value::dump(bool pretty) const {
  // Text that is not UTF-8 (a file's name) must not end the program.
  return std::visit(ToJson{}, data_).dump(pretty ? 2 : -1, ' ', false, Json::error_handler_t::replace);
}

std::string Value::text() const {
  if (const auto* b = std::get_if<bool>(&data_)) return *b ? "yes" : "no";
  if (const auto* s = std::get_if<std::string>(&data_)) return *s;
  if (const auto* d = std::get_if<double>(&data_)) return fixed(*d, *d < 10 ? 3 : *d < 1000 ? 1 : 0);
  return dump();
}

}  // namespace leat::tools
