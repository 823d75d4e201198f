#include "config_file.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <leat/runtime/reserved_storage.hpp>
#include <sstream>

#include "text.hpp"

// toml++ 3.3 asserts what a malformed file breaks ("[=]"), in front of the code that reports it; with NDEBUG and clang
// it tells the compiler to rely on it. Neither is wanted: the report is. Three levels of values are what a file needs;
// few, and keys of few parts (KeyParts), keep its recursion shallow.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(condition) static_cast<void>(0)
#define TOML_MAX_NESTED_VALUES 8
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace leat::tools {

namespace {

constexpr std::size_t kMaxFile = std::size_t{1} << 20;
constexpr unsigned kMaxKeyParts = 32;

// A message is one line, whatever stands in the file.
std::string one_line(std::string_view text) {
  std::string out{text};
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
  return out;
}

// Refuses keys of very many parts (a.b.c), each of which toml++ makes a table in the one before: it would end the
// process when it walks or frees half a million of them. Strings and comments are not looked into. Where the text is
// malformed this may see keys otherwise than toml++, but that stops there.
class KeyParts {
 public:
  KeyParts(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  void check() {
    unsigned dots = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        skip_string(c);
        continue;
      }
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
        continue;
      }
      ++at_;
      if (c == '.') {
        if (++dots >= kMaxKeyParts) fail();
      } else if (std::string_view{"\n=,[]{}"}.find(c) != std::string_view::npos) {
        dots = 0;
      }
    }
  }

 private:
  [[noreturn]] void fail() const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::ranges::count(before, '\n');
    const std::size_t column = at_ - (before.rfind('\n') + 1);  // npos + 1 is 0
    throw Failure(cat(path_, ":", line, ":", column, ": a key of more than ", kMaxKeyParts, " parts"),
                  "mend it there; docs/cli.md and leat(1) have an example");
  }

  void skip_string(char quote) {
    const bool many_lines = text_.substr(at_, 3) == std::string(3, quote);
    at_ += many_lines ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n' && !many_lines) return;
      if (c == quote && !many_lines) {
        ++at_;
        return;
      }
      if (c == quote && text_.substr(at_, 3) == std::string(3, quote)) {
        at_ += 3;
        for (int more = 0; more < 2 && at_ < text_.size() && text_[at_] == quote; ++more) ++at_;  // of the text itself
        return;
      }
      at_ += c == '\\' && quote == '"' ? 2 : 1;
    }
  }

  std::string_view text_;
  const std::string& path_;
  std::size_t at_ = 0;
};

class Reader {
 public:
  Reader(const std::string& path, Plan& plan) : path_(path), plan_(plan) {}

  void read(const toml::table& root) {
    each(root, "the file",
         {{"interface", [&](const toml::node& n) { tables(n, "interface", &Reader::interface); }},
          {"route", [&](const toml::node& n) { tables(n, "route", &Reader::route); }},
          {"options", [&](const toml::node& n) { options(n); }},
          {"limits", [&](const toml::node& n) { limits(n); }},
          {"pcap", [&](const toml::node& n) { plan_.pcap = text(n, "pcap"); }},
          {"impair", [&](const toml::node& n) {
             located(n, [&] { plan_.impairment = parse_impairment(text(n, "impair"), "impair"); });
           }}});
    for (const RoutePlan& r : plan_.routes) {
      const bool known = r.interface.empty() || std::any_of(plan_.interfaces.begin(), plan_.interfaces.end(),
                                                            [&](const auto& i) { return i.name == r.interface; });
      if (!known) throw_unknown_interface(root, r);
    }
  }

 private:
  struct Key {
    std::string_view name;
    std::function<void(const toml::node&)> take;
  };

  // A failure that says where already.
  class Placed : public Failure {
   public:
    using Failure::Failure;
  };

  [[nodiscard]] std::string place(const toml::source_region& where) const {
    return cat(path_, ":", where.begin.line, ":", where.begin.column, ": ");
  }
  [[noreturn]] void fail(const toml::source_region& where, const std::string& cause, const std::string& fix) const {
    throw Placed(one_line(cat(place(where), cause)), one_line(fix));
  }

  // Runs what may throw a Failure about the value at `node`, and puts the place in front of its text.
  void located(const toml::node& node, const std::function<void()>& action) const {
    try {
      action();
    } catch (const Placed&) {
      throw;
    } catch (const Failure& f) {
      fail(node.source(), f.what(), "");
    }
  }

  // Every key of the table must be one of these; each is taken once.
  void each(const toml::table& table, std::string_view where, const std::vector<Key>& keys) const {
    for (const auto& entry : table) {
      const toml::key& key = entry.first;
      const toml::node& node = entry.second;
      const auto known = std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == key.str(); });
      if (known == keys.end()) {
        std::vector<std::string_view> names;
        for (const Key& k : keys) names.push_back(k.name);
        std::string fix = did_you_mean(key.str(), names);
        if (fix.empty()) {
          fix = cat(where, " may have:");
          for (const std::string_view name : names) fix += cat(" ", name);
        }
        fail(key.source(), cat("unknown key '", key.str(), "'"), fix);
      }
      known->take(node);
    }
  }

  void tables(const toml::node& node, std::string_view name, void (Reader::*take)(const toml::table&)) {
    if (const toml::table* single = node.as_table(); single != nullptr) {
      (this->*take)(*single);
      return;
    }
    const toml::array* array = node.as_array();
    if (array == nullptr || !array->is_homogeneous(toml::node_type::table))
      fail(node.source(), cat("'", name, "' is not a table"), cat("write [[", name, "]]"));
    for (const toml::node& element : *array) (this->*take)(*element.as_table());
  }

  void interface(const toml::table& table) {
    InterfacePlan i;
    each(table, "an interface",
         {{"name", [&](const toml::node& n) { i.name = text(n, "name"); }},
          {"device",
           [&](const toml::node& n) { located(n, [&] { i.device = parse_device(text(n, "device"), "device"); }); }},
          {"mac", [&](const toml::node& n) { located(n, [&] { i.mac = parse_mac(text(n, "mac"), "mac"); }); }},
          {"mtu", [&](const toml::node& n) { i.mtu = number<std::uint32_t>(n, "mtu", 68, 65535); }},
          {"addresses",
           [&](const toml::node& n) {
             strings(n, "addresses", [&](const toml::node& e, const std::string& s) {
               located(e, [&] { i.addresses.push_back(parse_interface_address(s, "addresses")); });
               i.address_places.push_back(place(e.source()));
             });
           }},
          {"gateway", [&](const toml::node& n) {
             strings(n, "gateway", [&](const toml::node& e, const std::string& s) {
               located(e, [&] { i.gateways.push_back(parse_address(s, "gateway")); });
               i.gateway_places.push_back(place(e.source()));
             });
           }}});
    if (i.name.empty()) i.name = i.device.name;
    const toml::node* device = table.get("device");
    if (device == nullptr || text(*device, "device").find(':') == std::string::npos) i.device.name = i.name;
    const toml::node* name = table.get("name");
    located(name != nullptr ? *name : table,
            [&] { (void)parse_device(cat(i.device.kind, ":", i.device.name), "name"); });
    for (const InterfacePlan& other : plan_.interfaces)
      if (other.name == i.name)
        fail((name != nullptr ? *name : table).source(), cat("a second interface '", i.name, "'"),
             "each needs a name of its own");
    plan_.interfaces.push_back(std::move(i));
  }

  void route(const toml::table& table) {
    RoutePlan r;
    each(table, "a route",
         {{"to",
           [&](const toml::node& n) {
             r.name = text(n, "to");
             if (r.name != "default") located(n, [&] { r.config.destination = parse_prefix(r.name, "to"); });
           }},
          {"via",
           [&](const toml::node& n) { located(n, [&] { r.config.gateway = parse_address(text(n, "via"), "via"); }); }},
          {"interface", [&](const toml::node& n) { r.interface = text(n, "interface"); }},
          {"metric", [&](const toml::node& n) { r.config.metric = number<std::uint32_t>(n, "metric", 0, UINT32_MAX); }},
          {"mtu", [&](const toml::node& n) { r.config.mtu = number<std::uint32_t>(n, "mtu", 68, 65535); }},
          {"kind", [&](const toml::node& n) {
             const std::string kind = text(n, "kind");
             if (kind == "unicast") {
               r.config.kind = RouteConfig::Kind::unicast;
             } else if (kind == "local") {
               r.config.kind = RouteConfig::Kind::local;
             } else if (kind == "reject") {
               r.config.kind = RouteConfig::Kind::reject;
             } else {
               fail(n.source(), cat("unknown kind of route '", kind, "'"), "take unicast, local or reject");
             }
           }}});
    const toml::node* via = table.get("via");
    if (table.get("to") == nullptr)
      fail(table.source(), "a route without 'to'", "say where it leads: to = \"10.1.0.0/16\"");
    if (r.name == "default")
      r.config.destination = {IpAddress::any(via != nullptr ? r.config.gateway.version() : IpVersion::v4), 0};
    if (via == nullptr && r.interface.empty() && r.config.kind == RouteConfig::Kind::unicast)
      fail(table.source(), "a route without 'via' and 'interface'", "name the gateway, the interface, or both");
    r.place = place((via != nullptr ? *via : *table.get("to")).source());
    plan_.routes.push_back(std::move(r));
  }

  void options(const toml::node& node) {
    const toml::table* table = node.as_table();
    if (table == nullptr) fail(node.source(), "'options' is not a table", "write [options]");
    for (const auto& entry : *table) {
      const toml::key& key = entry.first;
      const toml::node& value = entry.second;
      OptionId id{};
      try {
        id = parse_option_name(key.str());
      } catch (const Failure& f) {
        fail(key.source(), f.what(), "");
      }
      const toml::node& v = value;
      located(v, [&] {
        std::string s;
        if (const auto b = v.value_exact<bool>()) {
          s = *b ? "true" : "false";
        } else if (const auto n = v.value_exact<std::int64_t>()) {
          s = std::to_string(*n);
        } else if (!v.is_string()) {
          fail(v.source(), cat("'", key.str(), "' is no whole number, yes or no, or text"),
               cat("write it as 64, true or \"64Ki\"; ", "'leat up --option list' tells its range"));
        } else {
          s = text(v, key.str());
        }
        plan_.options.emplace_back(id, parse_option_value(id, s));
      });
    }
  }

  void limits(const toml::node& node) {
    const toml::table* table = node.as_table();
    if (table == nullptr) fail(node.source(), "'limits' is not a table", "write [limits]");
    each(*table, "limits",
         {{"connections",
           [&](const toml::node& n) {
             plan_.limits = hosted_limits(number<std::uint32_t>(n, "connections", 1, 8'000'000));
           }},
          {"packet_memory", [&](const toml::node& n) {
             std::optional<std::uint64_t> size;
             if (const auto v = n.value_exact<std::int64_t>()) {
               size = static_cast<std::uint64_t>(*v);
             } else {
               size = parse_size(text(n, "packet_memory"));
             }
             if (!size || *size < (1U << 20) || *size > (std::uint64_t{1} << 40))
               fail(n.source(), "packet_memory is not possible", "take a size from 1M to 1T, such as \"256Mi\"");
             plan_.packet_memory = *size;
           }}});
  }

  [[nodiscard]] std::string text(const toml::node& node, std::string_view key) const {
    if (const auto value = node.value_exact<std::string>()) return *value;
    fail(node.source(), cat("'", key, "' is not text"), "put it in quotes");
  }

  void strings(const toml::node& node, std::string_view key,
               const std::function<void(const toml::node&, const std::string&)>& take) const {
    if (const toml::array* array = node.as_array(); array != nullptr) {
      for (const toml::node& element : *array) take(element, text(element, key));
    } else {
      take(node, text(node, key));
    }
  }

  template <class T>
  [[nodiscard]] T number(const toml::node& node, std::string_view key, std::int64_t least, std::int64_t most) const {
    const auto value = node.value_exact<std::int64_t>();
    if (!value) fail(node.source(), cat("'", key, "' is not a whole number"), cat("take ", least, " to ", most));
    if (*value < least || *value > most)
      fail(node.source(), cat("'", key, "' is out of range: ", *value), cat("take ", least, " to ", most));
    return static_cast<T>(*value);
  }

  [[noreturn]] void throw_unknown_interface(const toml::table& root, const RoutePlan& wanted) const {
    std::vector<std::string_view> names;
    for (const InterfacePlan& i : plan_.interfaces) names.push_back(i.name);
    const std::string hint = did_you_mean(wanted.interface, names);
    const toml::node* where = root.get("route");
    if (const toml::array* routes = where->as_array(); routes != nullptr)
      for (const toml::node& r : *routes)
        if (const toml::node* n = r.as_table()->get("interface");
            n != nullptr && n->value<std::string>() == wanted.interface)
          where = n;
    fail(where->source(), cat("unknown interface '", wanted.interface, "'"),
         hint.empty() ? "name one of the file's [[interface]] tables" : hint);
  }

  std::string path_;
  Plan& plan_;
};

}  // namespace

void read_config(std::string_view text, const std::string& path, Plan& plan) {
  KeyParts(text, path).check();
  toml::table root;
  try {
    root = toml::parse(text, std::string_view(path));
  } catch (const toml::parse_error& e) {
    throw Failure(one_line(cat(path, ":", e.source().begin.line, ":", e.source().begin.column, ": ", e.description())),
                  "mend it there; docs/cli.md and leat(1) have an example");
  }
  Reader(path, plan).read(root);
}

void read_config_file(const std::string& path, Plan& plan) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    throw Failure(cat("can't read the configuration file ", path, ": ", std::strerror(errno)),
                  "give --config a file that is there");
  if (!S_ISREG(status.st_mode))
    throw Failure(cat("can't read the configuration file ", path, ": not a file"), "give --config a file");
  std::ifstream file(path, std::ios::binary);
  std::ostringstream all;
  all << file.rdbuf();
  if (!file || all.str().size() > kMaxFile)
    throw Failure(cat("can't read the configuration file ", path), "check its rights and that it is below 1 MiB");
  read_config(all.str(), path, plan);
}

}  // namespace leat::tools
