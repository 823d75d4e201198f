#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <leat/base/pairing_heap.hpp>
#include <set>

namespace leat {
namespace {

struct Entry {
  int key = 0;
  Entry* child_link = nullptr;
  Entry* sibling_link = nullptr;
  Entry* previous_link = nullptr;
};
struct Links {
  static Entry*& child(Entry& e) { return e.child_link; }
  static Entry*& sibling(Entry& e) { return e.sibling_link; }
  static Entry*& previous(Entry& e) { return e.previous_link; }
  static bool before(const Entry& a, const Entry& b) { return a.key < b.key; }
};

TEST(PairingHeap, GivesTheLeastWhateverComesAndGoes) {
  std::array<Entry, 200> entries;
  std::multiset<int> model;
  std::array<bool, 200> in{};
  PairingHeap<Entry, Links> heap;
  std::uint32_t x = 12345;
  for (int step = 0; step < 20000; ++step) {
    x = x * 1664525U + 1013904223U;
    const std::size_t i = (x >> 8) % entries.size();
    if (in[i]) {
      model.erase(model.find(entries[i].key));
      heap.remove(entries[i]);
    } else {
      entries[i].key = static_cast<int>((x >> 4) % 50);
      model.insert(entries[i].key);
      heap.push(entries[i]);
    }
    in[i] = !in[i];
    ASSERT_EQ(heap.empty(), model.empty());
    if (!model.empty()) {
      ASSERT_EQ(heap.top()->key, *model.begin());
    }
    if (step % 7 == 0 && !model.empty()) {
      Entry& top = *heap.top();
      in[static_cast<std::size_t>(&top - entries.data())] = false;
      model.erase(model.begin());
      heap.remove(top);
    }
  }
}

}  // namespace
}  // namespace leat
