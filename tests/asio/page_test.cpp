// The program of docs/asio.md, with real threads over the shared stack. The build takes its text from the page.

#include ASIO_PAGE

#include <leat/runtime/linked_stacks_test_support.hpp>

namespace {

TEST(AsioPage, ItsProgramRuns) {
  leat::test::LinkedStacks stacks;
  std::thread server([&] { run(stacks.stack[1]); });  // until its stack ends
  std::size_t got = 0;
  // The server may not listen yet.
  for (int i = 0; i < 1000 && got == 0; ++i) {
    net::io_context io;
    leat::asio::attach(io, stacks.stack[0]);
    leat::asio::stream_socket socket(io);
    const auto to = leat::asio::to_asio<net::ip::tcp::endpoint>({leat::test::LinkedStacks::address(1), leat::Port{7}});
    net::co_spawn(io, ask(socket, to), [&](const std::exception_ptr& e, std::size_t n) { got = e ? 0 : n; });
    io.run();
  }
  EXPECT_EQ(got, 6U);
  stacks.stack[1]->stop();
  server.join();
}

}  // namespace
