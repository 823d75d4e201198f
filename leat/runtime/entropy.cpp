#include <sys/random.h>

#include <cerrno>
#include <leat/base/assert.hpp>
#include <leat/runtime/entropy.hpp>

namespace leat {

Entropy system_entropy() {
  Entropy entropy;
  // Up to 256 bytes come whole or not at all; EINTR can only come before the generator is ready (early boot).
  ssize_t got = 0;
  do {
    got = ::getrandom(entropy.words.data(), sizeof entropy.words, 0);
  } while (got < 0 && errno == EINTR);
  LEAT_ASSERT(got == static_cast<ssize_t>(sizeof entropy.words));
  return entropy;
}

Entropy seeded_entropy(std::uint64_t seed) {
  Entropy entropy;
  const SipKey key{seed, 0x6c656174};
  for (std::size_t i = 0; i < entropy.words.size(); ++i) entropy.words[i] = siphash24(key, i);
  return entropy;
}

}  // namespace leat
