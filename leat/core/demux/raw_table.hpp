#pragma once
// RawTable: which raw sockets see a packet: {IP version, protocol} -> values, protocol 0 meaning all. Sockets of one
// protocol get packets in the order in which they were added, those of protocol 0 last. Threading: one owner.
// Complexity: add O(1); remove and for_each O(raw sockets whose protocol has the same low 4 bits).

#include <array>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/index_list.hpp>
#include <span>

namespace leat {

struct RawEntry {
  Index value = kNoIndex;
  IndexLink link;
  IpVersion version = IpVersion::v4;
  std::uint8_t protocol = 0;
};

class RawTable {
  auto links() {
    return [this](Index k) -> IndexLink& { return entries_[k].link; };
  }

 public:
  explicit RawTable(std::span<RawEntry> entries)
      : entries_(entries), pool_(static_cast<std::uint32_t>(entries.size())) {}

  // The entry's index; kNoIndex when full.
  [[nodiscard]] Index add(IpVersion version, std::uint8_t protocol, Index value) {
    const Index i = pool_.take([this](Index k) -> Index& { return entries_[k].link.next; });
    if (i == kNoIndex) return i;
    entries_[i] = {value, {}, version, protocol};
    list(protocol).push_back(i, links());
    return i;
  }
  void remove(Index entry) {
    list(entries_[entry].protocol).remove(entry, links());
    pool_.give(entry, [this](Index k) -> Index& { return entries_[k].link.next; });
  }
  // fn(value) may remove the entry it was called for. Returns how many were called.
  template <class Fn>
  unsigned for_each(IpVersion version, std::uint8_t protocol, Fn&& fn) const {
    unsigned called = visit(version, protocol, fn);
    if (protocol != 0) called += visit(version, 0, fn);
    return called;
  }
  [[nodiscard]] bool empty() const { return pool_.used() == 0; }
  [[nodiscard]] std::uint32_t size() const { return pool_.used(); }

 private:
  static constexpr std::size_t kLists = 17;  // 16 by the protocol's low bits, one for protocol 0
  IndexList& list(std::uint8_t protocol) { return lists_[protocol == 0 ? 16 : protocol % 16U]; }
  template <class Fn>
  unsigned visit(IpVersion version, std::uint8_t protocol, Fn& fn) const {
    unsigned called = 0;
    for (Index i = lists_[protocol == 0 ? 16 : protocol % 16U].front(); i != kNoIndex;) {
      const RawEntry& e = entries_[i];
      i = e.link.next;
      if (e.version != version || e.protocol != protocol) continue;
      fn(e.value);
      ++called;
    }
    return called;
  }

  std::span<RawEntry> entries_;
  IndexPool pool_;
  std::array<IndexList, kLists> lists_{};
};

}  // namespace leat
