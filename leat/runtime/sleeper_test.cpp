#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <leat/runtime/sleeper.hpp>

namespace leat {
namespace {

int new_eventfd() {
  return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}
void ring(int fd) {
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));
}

// An executor that ended leaves the number of its descriptor in the sleeper; a device that gets it later stays watched.
TEST(Sleeper, ADeviceKeepsTheNumberOfADescriptorThatWasClosed) {
  const Descriptor watch(new_eventfd());
  Sleeper* const s = Sleeper::make(std::make_shared<ShardMark>(), watch.get());
  ASSERT_NE(s, nullptr);
  s->arm(true);
  const int number = new_eventfd();
  (void)s->sleep(number, 0);
  ASSERT_EQ(::close(number), 0);
  const Descriptor device(new_eventfd());
  ASSERT_EQ(device.get(), number) << "the kernel gives the lowest free number";
  ASSERT_TRUE(s->join_device(device.get()));
  const Descriptor another(new_eventfd());
  EXPECT_FALSE(s->sleep(another.get(), 0).watch);
  ring(device.get());
  EXPECT_TRUE(s->sleep(another.get(), 0).watch);
  ring(another.get());
  EXPECT_TRUE(s->sleep(another.get(), 0).also);
  s->unref();
}

}  // namespace
}  // namespace leat
