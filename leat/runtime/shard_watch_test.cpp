// The watch holds descriptors that it does not own. A TAP whose interface was deleted puts another file behind its
// number (tap_unsafe.hpp), of which the kernel's set knows nothing.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <leat/runtime/clock.hpp>
#include <leat/runtime/shard_watch.hpp>

namespace leat {
namespace {

Descriptor new_device() {
  return Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}
void feed(const Descriptor& device) {
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(device.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
}
// As Tap does it when the kernel says that its interface is gone.
void go(const Descriptor& device) {
  const Descriptor silent = new_device();
  ASSERT_EQ(::dup3(silent.get(), device.get(), O_CLOEXEC), device.get());
}
bool ready(const ShardWatch& watch) {
  pollfd p{.fd = watch.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, 0) == 1;
}

TEST(ShardWatch, ADeviceIsReadyUntilItIsReadAndNobodyElseLooks) {
  auto watch = ShardWatch::make();
  ASSERT_TRUE(watch);
  const Descriptor device = new_device();
  ASSERT_TRUE(watch->add_device(device.get(), true));
  EXPECT_EQ(watch->only_device(), device.get());
  EXPECT_FALSE(ready(*watch));
  feed(device);
  EXPECT_TRUE(ready(*watch));
  (void)watch->drain();
  EXPECT_TRUE(ready(*watch)) << "nobody has read it";
  watch->mute_device(device.get(), true);
  EXPECT_FALSE(ready(*watch));
  watch->mute_device(device.get(), false);
  EXPECT_TRUE(ready(*watch));
  watch->remove_device(device.get());
  EXPECT_FALSE(ready(*watch));
  EXPECT_EQ(watch->only_device(), -1);
}

TEST(ShardWatch, TheTimerAndTheBellAreToldOnceEach) {
  auto watch = ShardWatch::make();
  ASSERT_TRUE(watch);
  watch->set_timer(monotonic_now());
  watch->kick();
  ASSERT_TRUE(ready(*watch));
  const ShardWatch::Drained first = watch->drain();
  EXPECT_TRUE(first.timer && first.kick);
  EXPECT_FALSE(ready(*watch));
  const ShardWatch::Drained second = watch->drain();
  EXPECT_FALSE(second.timer || second.kick);
}

TEST(ShardWatch, OnlyAPlainDeviceThatIsAloneIsTheOnlyOne) {
  auto watch = ShardWatch::make();
  ASSERT_TRUE(watch);
  const Descriptor a = new_device(), b = new_device(), c = new_device();
  ASSERT_TRUE(watch->add_device(a.get(), false));
  EXPECT_EQ(watch->only_device(), -1) << "a set of descriptors";
  ASSERT_TRUE(watch->add_device(b.get(), true));
  EXPECT_EQ(watch->only_device(), -1);
  watch->remove_device(a.get());
  EXPECT_EQ(watch->only_device(), -1) << "which one is left is not known";
  watch->remove_device(b.get());
  ASSERT_TRUE(watch->add_device(c.get(), true));
  EXPECT_EQ(watch->only_device(), c.get());
  watch->remove_device(b.get());  // once more, as of no device
  EXPECT_EQ(watch->only_device(), c.get());
}

TEST(ShardWatch, ADeviceThatIsGoneIsSilentAndForgotten) {
  auto watch = ShardWatch::make();
  ASSERT_TRUE(watch);
  Descriptor gone = new_device();
  ASSERT_TRUE(watch->add_device(gone.get(), true));
  feed(gone);
  ASSERT_TRUE(ready(*watch));
  go(gone);
  EXPECT_FALSE(ready(*watch)) << "it would be ready for ever";
  // A thread that looks at the device by itself may put it back yet.
  watch->mute_device(gone.get(), true);
  watch->mute_device(gone.get(), false);
  EXPECT_FALSE(ready(*watch));
  watch->remove_device(gone.get());
  EXPECT_EQ(watch->only_device(), -1);

  // The next one gets the same number, and is alone.
  const int number = gone.get();
  gone.reset();
  const Descriptor next = new_device();
  ASSERT_EQ(next.get(), number) << "the kernel gives the lowest free number";
  ASSERT_TRUE(watch->add_device(next.get(), true));
  EXPECT_EQ(watch->only_device(), next.get());
  EXPECT_FALSE(ready(*watch));
  feed(next);
  EXPECT_TRUE(ready(*watch));
}

}  // namespace
}  // namespace leat
