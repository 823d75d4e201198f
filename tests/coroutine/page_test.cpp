// The program of docs/coroutines.md, over two stacks under a virtual clock. The build takes its text from the page.

#include COROUTINES_PAGE

#include <gtest/gtest.h>

#include "../support/virtual_service.hpp"

namespace {

TEST(CoroutinePage, ItsProgramRuns) {
  test::VirtualWorld world;
  Executor executor(world.shared_service(0));
  auto listener = TcpListener::listen(world.shared_service(1), {{}, Port{7}}).value();
  executor.spawn(serve(executor, listener));
  EXPECT_EQ(executor.run(ask(world.shared_service(0), {test::TwoHosts::address(1), Port{7}})), 5U);
  executor.stop();
  executor.run();
}

}  // namespace
