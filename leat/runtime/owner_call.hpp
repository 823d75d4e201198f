#pragma once
// OwnerCall: a function to run under a shard's token, by whoever owns it: the caller when the shard is free, else the
// thread that works on it just then. It must not block and must not call into the same shard by its Service.
// Threading: lives in the frame of the call that waits for it.

#include <leat/base/delegate.hpp>
#include <leat/op/op.hpp>

namespace leat {

struct OwnerCall : Op {
  OwnerCall() { PostNode::kind = PostKind::call; }
  Delegate<void()> function;
};

}  // namespace leat
