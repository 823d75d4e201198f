#pragma once
// The token word's two views, number and pointer: the only casts between them.

#include <leat/sync/token_word.hpp>

namespace leat::sync {

static_assert(alignof(PostNode) >= 4, "the low two bits of a node's address are the word's");

template <class Atomics>
std::uintptr_t TokenWord<Atomics>::word(PostNode* n) {
  return reinterpret_cast<std::uintptr_t>(n);
}

template <class Atomics>
PostNode* TokenWord<Atomics>::node(std::uintptr_t w) {
  return reinterpret_cast<PostNode*>(w & ~kHeld);
}

}  // namespace leat::sync
