#pragma once
// The 32 bytes from which a stack derives its keys: from the kernel's generator, or from a seed for runs that must
// repeat. Never use a seed on a network with strangers: sequence numbers, ports and cookies could be guessed.

#include <cstdint>
#include <leat/base/rng.hpp>

namespace leat {

[[nodiscard]] Entropy system_entropy();
[[nodiscard]] Entropy seeded_entropy(std::uint64_t seed);

}  // namespace leat
