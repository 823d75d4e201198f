#include <leat/core/option_profiles.hpp>

namespace leat {

Result<std::uint16_t> OptionProfiles::with(std::uint16_t current, const OptionValues& stack, OptionId id,
                                           std::int64_t value) {
  OptionValues wanted = current == 0 ? stack : (*this)[current];
  if (auto r = wanted.set(id, value); !r) return fail(r.error());
  if (current != 0 && profiles_[current - 1U].users == 1) {
    profiles_[current - 1U].values = wanted;  // nobody else looks at it
    return current;
  }
  std::uint16_t unused = 0;
  for (std::size_t i = 0; i < profiles_.size(); ++i) {
    const auto number = static_cast<std::uint16_t>(i + 1);
    if (profiles_[i].users == 0) {
      if (unused == 0) unused = number;
    } else if (profiles_[i].values == wanted) {
      drop_user(current);
      add_user(number);
      return number;
    }
  }
  if (unused == 0) return fail(Errc::no_memory);
  profiles_[unused - 1U].values = wanted;
  add_user(unused);
  drop_user(current);
  return unused;
}

}  // namespace leat
