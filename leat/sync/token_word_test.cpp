#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <leat/sync/token_word.hpp>
#include <thread>
#include <vector>

namespace leat::sync {
namespace {

struct Op : PostNode {
  int number = 0;
  int runs = 0;
};

TEST(TokenWord, WhatIsPostedWhileHeldComesBackInOrderWhenTheOwnerLeaves) {
  TokenWord<> word;
  PostList backlog;
  ASSERT_EQ(word.enter(backlog), TokenWord<>::Enter::entered);
  EXPECT_EQ(word.enter(backlog), TokenWord<>::Enter::held);
  std::array<Op, 3> ops;
  for (int i = 0; i < 3; ++i) {
    ops[static_cast<std::size_t>(i)].number = i;
    ASSERT_EQ(word.post(ops[static_cast<std::size_t>(i)]), TokenWord<>::Post::posted);
  }
  PostList list = word.leave();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(static_cast<Op*>(list.pop_front())->number, i);
  EXPECT_TRUE(list.empty());
  EXPECT_TRUE(word.leave().empty());
  Op late;
  EXPECT_EQ(word.post(late), TokenWord<>::Post::free);
}

TEST(TokenWord, WorkLeftBehindGoesToWhoeverEntersNextOlderFirst) {
  TokenWord<> word;
  PostList backlog;
  ASSERT_EQ(word.enter(backlog), TokenWord<>::Enter::entered);
  Op a, b;
  a.number = 1;
  b.number = 2;
  ASSERT_EQ(word.post(a), TokenWord<>::Post::posted);
  PostList mine = word.leave();
  ASSERT_EQ(word.post(b), TokenWord<>::Post::posted);
  EXPECT_FALSE(word.leave_behind(mine)) << "b came meanwhile";
  EXPECT_TRUE(word.leave_behind(mine));
  ASSERT_EQ(word.enter(mine), TokenWord<>::Enter::entered);
  EXPECT_EQ(static_cast<Op*>(mine.pop_front())->number, 1);
  EXPECT_EQ(static_cast<Op*>(mine.pop_front())->number, 2);
  EXPECT_TRUE(mine.empty());
  EXPECT_TRUE(word.leave().empty());
}

TEST(TokenWord, CompletionSaysWhoSleepsAndParkSaysWhoIsLate) {
  Op op;
  op.state = static_cast<std::uint32_t>(PostState::posted);
  EXPECT_TRUE(TokenWord<>::park(op));
  EXPECT_TRUE(TokenWord<>::complete(op));
  EXPECT_EQ(TokenWord<>::wait_state(op), PostState::done);
  op.state = static_cast<std::uint32_t>(PostState::posted);
  EXPECT_FALSE(TokenWord<>::complete(op));
  EXPECT_FALSE(TokenWord<>::park(op));
}

TEST(TokenWord, ADeadWordRefusesAndHandsOutWhatWasPosted) {
  TokenWord<> word;
  PostList backlog;
  ASSERT_EQ(word.enter(backlog), TokenWord<>::Enter::entered);
  Op a, b;
  ASSERT_EQ(word.post(a), TokenWord<>::Post::posted);
  PostList left = word.kill();
  EXPECT_EQ(left.pop_front(), &a);
  EXPECT_EQ(word.post(b), TokenWord<>::Post::dead);
  EXPECT_EQ(word.enter(backlog), TokenWord<>::Enter::dead);
}

// Four threads count in a plain variable that only the token protects: every operation is run exactly once, by
// somebody.
TEST(TokenWord, ThreadsRunEachOthersOperationsExactlyOnce) {
  constexpr int kThreads = 4;
  constexpr int kOps = 20'000;
  TokenWord<> word;
  long counter = 0;  // guarded by the token
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kOps; ++i) {
        Op op;
        const auto run = [&](PostList list) {
          while (!list.empty()) {
            auto* o = static_cast<Op*>(list.pop_front());
            ++counter;
            ++o->runs;
            TokenWord<>::complete(*o);
          }
        };
        for (;;) {
          PostList backlog;
          const auto e = word.enter(backlog);
          if (e == TokenWord<>::Enter::entered) {
            run(backlog);
            ++counter;
            ++op.runs;
            for (PostList more = word.leave(); !more.empty(); more = word.leave()) run(more);
            break;
          }
          if (word.post(op) != TokenWord<>::Post::posted) continue;
          while (TokenWord<>::wait_state(op) != PostState::done) std::this_thread::yield();
          break;
        }
        ASSERT_EQ(op.runs, 1);
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(counter, long{kThreads} * kOps);
}

}  // namespace
}  // namespace leat::sync
