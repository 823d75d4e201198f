#pragma once
// Option profiles: full sets of option values that sockets share. Profile 0 means the stack's own values. A socket that
// changes an option gets a copy of its own on the first change, or joins a profile that already has exactly those
// values; a profile ends with its last user. Complexity: set O(profiles) (rare), look-up O(1). Threading: one owner.

#include <cstdint>
#include <leat/base/index_list.hpp>
#include <leat/op/options.hpp>
#include <span>

namespace leat {

struct OptionProfile {
  OptionValues values;
  std::uint32_t users = 0;
};

class OptionProfiles {
 public:
  explicit OptionProfiles(std::span<OptionProfile> profiles) : profiles_(profiles) {}
  [[nodiscard]] const OptionValues& operator[](std::uint16_t profile) const { return profiles_[profile - 1U].values; }

  // The profile that has `current`'s values with `id` = `value`; the reference on `current` is given up.
  // Errc::no_memory when all profiles are in use, Errc::invalid_argument for a value out of range: nothing changed
  // then.
  [[nodiscard]] Result<std::uint16_t> with(std::uint16_t current, const OptionValues& stack, OptionId id,
                                           std::int64_t value);
  void add_user(std::uint16_t profile) {
    if (profile != 0) ++profiles_[profile - 1U].users;
  }
  void drop_user(std::uint16_t profile) {
    if (profile != 0) --profiles_[profile - 1U].users;
  }

 private:
  std::span<OptionProfile> profiles_;
};

}  // namespace leat
