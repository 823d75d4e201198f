#include <leat/api/channel/leftover.hpp>
#include <map>

namespace leat::channel {

std::shared_ptr<Leftover> Leftover::of(const Service* service) {
  static std::mutex mutex;
  static std::map<const Service*, std::weak_ptr<Leftover>> all;  // who holds one holds the service, too
  const std::lock_guard lock(mutex);
  if (auto known = all[service].lock()) return known;
  std::erase_if(all, [](const auto& entry) { return entry.second.expired(); });
  auto made = std::make_shared<Leftover>();
  all[service] = made;
  return made;
}

}  // namespace leat::channel
