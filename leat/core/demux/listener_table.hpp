#pragma once
// ListenerTable: which socket is bound where. TCP (listeners and bound sockets) and UDP have one instance each. A bind
// is {scope, interface or 0, address or any, port}; equal binds (SO_REUSEPORT) form a group of members, of which the
// flow hash chooses one. A lookup goes from the exact to the general:
//
//   1 address + interface   2 address   3 any + interface   4 any
//
// For an IPv4 destination 3 and 4 take 0.0.0.0 before `::`, and `::` only without v6only (RFC 3493 3.7, 5.3).
// Classes of which no bind exists cost no probe.
//
// An entry is bound first and `active` (found by lookups) later: a TCP socket that is bound but doesn't listen only
// takes part in the conflict test. Values are the caller's indices.
//
// Complexity: lookup O(1) (a group's choice O(members)); bind and iteration O(binds on the port). Threading: one owner.
// Entries and buckets may be zero pages: each is initialised at its first use.

#include <array>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/index_list.hpp>
#include <leat/base/result.hpp>
#include <leat/base/siphash.hpp>
#include <leat/core/demux/index_table.hpp>
#include <span>

namespace leat {

struct BindKey {
  IpAddress address;  // unspecified: any
  Port port;
  std::uint16_t interface = 0;  // 0: any
  Scope scope = 0;
  constexpr bool operator==(const BindKey&) const = default;
};

struct BindFlags {
  bool reuse_address = false;
  bool reuse_port = false;
  bool v6only = false;
  std::uint8_t user = 0;  // SO_REUSEPORT shares only among sockets of one owner
};

struct BindEntry {
  BindKey key;
  BindFlags flags;
  bool active = false;
  Index value = kNoIndex;
  Index next_member = kNoIndex, prev_member = kNoIndex;  // circular ring of the group
  Index next_on_port = kNoIndex, prev_on_port = kNoIndex;
  std::uint32_t active_members = 0;  // of the group; kept in its leader
};
static_assert(sizeof(BindEntry) == 52);

// The two protocols differ in one rule: TCP lets SO_REUSEADDR share an endpoint only with a socket that doesn't listen.
enum class BindRule : std::uint8_t { stream, datagram };

class ListenerTable {
 public:
  struct Storage {
    std::span<BindEntry> entries;
    std::span<IndexBucket> groups;  // IndexTable::buckets_for(entries)
    std::span<IndexBucket> ports;   // the same
  };
  ListenerTable(const Storage& storage, SipKey secret, BindRule rule);

  // Could something be for both?
  static bool overlap(const BindKey& a, bool a_v6only, const BindKey& b, bool b_v6only);
  // Would this bind conflict ("address in use")? As Linux: binds overlap when scope, port, interface (or either any)
  // and address (or either any, across versions when `::` is dual-stack) meet; overlapping is allowed when both have
  // reuse_address (stream: and the other doesn't listen), or both have reuse_port and one user.
  [[nodiscard]] bool in_use(const BindKey& key, BindFlags flags) const;
  // Is anything at all bound to this port that key overlaps, whatever the flags? For ephemeral ports.
  [[nodiscard]] bool port_taken(const BindKey& key, bool v6only) const;

  // The entry's index, or address_in_use, or no_memory. Port 0 is an error of the caller.
  [[nodiscard]] Result<Index> bind(const BindKey& key, BindFlags flags, Index value);
  // Lookups find the entry from now on (listen(2), or a UDP bind). False: another listener has the endpoint.
  [[nodiscard]] bool activate(Index entry);
  void deactivate(Index entry);
  void unbind(Index entry);
  [[nodiscard]] const BindEntry& operator[](Index entry) const { return entries_[entry]; }

  // The value to deliver to; kNoIndex: none. `key.interface` is the one of arrival. `flow` picks among members.
  [[nodiscard]] Index lookup(const BindKey& key, std::uint32_t flow) const;

  // Every active entry that would accept a datagram for this key, exactness aside: multicast and broadcast receivers.
  // In order of binding, the latest first. fn(value) may unbind the entry it was called for.
  template <class Fn>
  void for_each_match(const BindKey& key, Fn&& fn) const {
    for (Index i = first_on_port(key.scope, key.port); i != kNoIndex;) {
      const BindEntry& e = entries_[i];
      i = e.next_on_port;
      if (e.active && accepts(e, key)) fn(e.value);
    }
  }
  [[nodiscard]] std::uint32_t size() const { return pool_.used(); }
  [[nodiscard]] std::uint32_t capacity() const { return pool_.capacity(); }
  void check_invariants() const;

 private:
  enum Class : std::uint8_t { exact_interface, exact_address, any_interface, any_address, kClasses };
  static Class class_of(const BindKey& key);
  static bool accepts(const BindEntry& e, const BindKey& destination);
  [[nodiscard]] bool conflict(const BindKey& key, BindFlags flags, Index self) const;
  [[nodiscard]] std::uint32_t group_hash(const BindKey& key) const;
  [[nodiscard]] std::uint32_t port_hash(Scope scope, Port port) const;
  [[nodiscard]] Index find_group(const BindKey& key) const;
  [[nodiscard]] Index first_on_port(Scope scope, Port port) const;
  [[nodiscard]] Index choose(Index leader, std::uint32_t flow, bool need_v4) const;
  [[nodiscard]] Index probe(const BindKey& key, std::uint32_t flow, bool need_v4) const;

  std::span<BindEntry> entries_;
  IndexTable groups_;  // key -> leader + 1
  IndexTable ports_;   // {scope, port} -> first entry + 1
  IndexPool pool_;
  SipKey secret_;
  BindRule rule_;
  std::array<std::uint32_t, kClasses> active_{};  // active entries by class
};

}  // namespace leat
