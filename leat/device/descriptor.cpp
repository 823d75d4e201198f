#include <unistd.h>

#include <leat/device/descriptor.hpp>

namespace leat {

void Descriptor::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace leat
