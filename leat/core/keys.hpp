#pragma once
// The secret keys of a stack. Threading: constants.

#include <leat/base/rng.hpp>

namespace leat {

// One key for each purpose, all derived from the owner's entropy: no output of one tells anything about another.
struct Keys {
  explicit Keys(const Entropy& e)
      : tuples(derive_key(e, 1)),
        ports(derive_key(e, 2)),
        ip_id(derive_key(e, 3)),
        cookies(derive_key(e, 5)),
        flow_hash(derive_key(e, 6)),
        rng(derive_key(e, 7)),
        ipv6_iid(derive_key(e, 8)),
        trees(derive_key(e, 9)) {}
  SipKey tuples;  // initial sequence numbers and timestamp offsets
  SipKey ports, ip_id, cookies, flow_hash, rng, ipv6_iid, trees;
};

}  // namespace leat
