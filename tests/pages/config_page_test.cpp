// The configuration file of docs/cli.md, as it stands there: it is right, and says what its comments say.

#include <gtest/gtest.h>

#include <tools/config_file.hpp>

namespace leat::tools {
namespace {

TEST(CliPage, ItsConfigurationFileIsRight) {
  Plan plan;
  read_config_file(CONFIG_PAGE, plan);
  ASSERT_EQ(plan.interfaces.size(), 1U);
  EXPECT_EQ(plan.interfaces[0].name, "leat0");
  EXPECT_EQ(plan.interfaces[0].addresses.size(), 2U);
  EXPECT_GE(plan.routes.size(), 1U);
}

}  // namespace
}  // namespace leat::tools
