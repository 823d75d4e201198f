#pragma once
// PostNode: what an operation carries so that it can be left on a shard's token word: a link and a state. Plain data
// without atomics, because operations are part of layers that know no threads; sync/token_word.hpp accesses `state`
// through atomic references and says who may touch what when.

#include <cstdint>

namespace leat {

enum class PostState : std::uint32_t {
  idle,     // nobody but its caller knows it
  posted,   // on the token word or in the owner's backlog; the caller may spin on it
  granted,  // the caller that spins is the owner now
  parked,   // the caller sleeps; the owner must write its sleeper after completing
  done,     // the result is there; nobody but the caller touches it any more
};

// What the owner finds on the word: an operation, something that is asked about one, a function to run under the token,
// or the wish of a sleeper that a turn be done for it.
enum class PostKind : std::uint32_t { op, cancel, call, turn };

struct PostNode {
  explicit PostNode(PostKind k = PostKind::op) : kind(k) {}
  PostNode* next = nullptr;
  alignas(4) std::uint32_t state = 0;  // a PostState
  PostKind kind;
};

}  // namespace leat
