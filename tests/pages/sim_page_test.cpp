// What leat/sim/README.md shows: a transfer over a bad line, whose report has no problem.

#include <gtest/gtest.h>

#include <cstdio>
#include <leat/core/all_modules.hpp>
#include <leat/sim/transfer.hpp>

namespace {

TEST(SimPage, ItsTransferIsRight) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include SIM_PAGE
#pragma GCC diagnostic pop
  EXPECT_TRUE(report.ok) << report.problem;
  EXPECT_EQ(report.seed, 7U);
}

}  // namespace
