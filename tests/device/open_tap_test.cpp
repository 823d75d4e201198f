// A TAP that a stack opens itself ends with its interface, and when an address of it is refused: the kernel's side is
// gone, and the name may be used again. In a namespace of its own.

#include <gtest/gtest.h>
#include <leat/c/leat.h>
#include <net/if.h>

#include <leat/base/error_table.hpp>
#include <leat/runtime/host.hpp>
#include <leat/runtime/shared_stack.hpp>

#include "../support/own_tap.hpp"

namespace leat {
namespace {

constexpr const char* kName = "open0";
constexpr const char* kAddress = "10.79.0.2/24";

class TapOfAStack : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::why_no_tap().empty()) GTEST_SKIP() << test::why_no_tap();
  }
  static bool exists() { return ::if_nametoindex(kName) != 0; }
};

TEST_F(TapOfAStack, ASharedStacksTapEndsWithItsInterface) {
  const auto stack = SharedStack::make({.limits = hosted_limits(16), .packet_memory = std::size_t{8} << 20}).value();
  for (int twice = 0; twice < 2; ++twice) {
    EXPECT_EQ(stack->open_tap(kName, {kAddress, kAddress}).error(), Errc::already_exists);
    EXPECT_FALSE(exists());
    const auto id = stack->open_tap(kName, {kAddress});
    ASSERT_TRUE(id) << name_of(id.error());
    EXPECT_TRUE(exists());
    EXPECT_TRUE(stack->detach(*id));
    EXPECT_FALSE(exists());
  }
}

TEST_F(TapOfAStack, AHostsTapEndsWhenAnAddressIsRefused) {
  Host host;
  EXPECT_EQ(host.open_tap(kName, {kAddress, kAddress}).error(), Errc::already_exists);
  EXPECT_FALSE(exists());
  EXPECT_TRUE(host.open_tap(kName, {kAddress}));
}

TEST_F(TapOfAStack, ATapOfTheCInterfaceEndsWhenAnAddressIsRefused) {
  leat_stack* stack = nullptr;
  ASSERT_EQ(leat_create(nullptr, &stack), 0);
  const char* const addresses[] = {kAddress, kAddress};
  EXPECT_LT(leat_open_tap(stack, kName, addresses, 2), 0);
  EXPECT_FALSE(exists());
  EXPECT_GE(leat_open_tap(stack, kName, addresses, 1), 0);
  leat_destroy(stack);
}

}  // namespace
}  // namespace leat
