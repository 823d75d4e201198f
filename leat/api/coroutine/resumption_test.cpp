// The queue of resumptions, alone and with threads that push.

#include <gtest/gtest.h>

#include <array>
#include <leat/api/coroutine/resumption.hpp>
#include <semaphore>
#include <thread>
#include <vector>

namespace leat::coroutine {
namespace {

TEST(CoroutineResumption, OldestFirst) {
  ResumptionQueue queue;
  std::array<Resumption, 5> nodes;
  EXPECT_EQ(queue.take(), nullptr);
  EXPECT_FALSE(queue.push(nodes[0]));
  EXPECT_FALSE(queue.push(nodes[1]));
  EXPECT_EQ(queue.take(), &nodes[0]);
  EXPECT_FALSE(queue.push(nodes[2]));
  EXPECT_EQ(queue.take(), &nodes[1]);
  EXPECT_EQ(queue.take(), &nodes[2]);
  EXPECT_TRUE(queue.empty());
}

TEST(CoroutineResumption, OnePusherIsToldToWake) {
  ResumptionQueue queue;
  std::array<Resumption, 2> nodes;
  ASSERT_TRUE(queue.fall_asleep());
  EXPECT_TRUE(queue.push(nodes[0]));
  EXPECT_FALSE(queue.push(nodes[1]));
  EXPECT_TRUE(queue.wake_up());
  EXPECT_EQ(queue.take(), &nodes[0]);
  EXPECT_EQ(queue.take(), &nodes[1]);
}

TEST(CoroutineResumption, ASleepThatNobodyEnded) {
  ResumptionQueue queue;
  Resumption node;
  ASSERT_TRUE(queue.fall_asleep());
  EXPECT_FALSE(queue.wake_up());
  EXPECT_FALSE(queue.push(node));
  EXPECT_FALSE(queue.fall_asleep());  // something is there
  EXPECT_EQ(queue.take(), &node);
}

// S5: four threads push, the consumer sleeps whenever it finds nothing. A wake-up that were missed would hang it; one
// too many would make the semaphore's count differ.
TEST(S5_CoroutineWake, NoPushIsMissedAndNoSleepEndedTwice) {
  constexpr int kThreads = 4;
  constexpr int kPushes = 20000;
  ResumptionQueue queue;
  std::counting_semaphore<> wake{0};
  std::vector<std::vector<Resumption>> nodes(kThreads);
  std::vector<std::thread> threads;
  for (auto& own : nodes) {
    own = std::vector<Resumption>(kPushes);
    threads.emplace_back([&own, &queue, &wake] {
      for (Resumption& r : own)
        if (queue.push(r)) wake.release();
    });
  }
  std::vector<const Resumption*> last(kThreads, nullptr);
  for (int got = 0; got < kThreads * kPushes;) {
    const Resumption* const r = queue.take();
    if (r == nullptr) {
      if (queue.fall_asleep()) wake.acquire();
      continue;
    }
    ++got;
    for (std::size_t t = 0; t < kThreads; ++t) {
      if (r < nodes[t].data() || r > &nodes[t].back()) continue;
      EXPECT_TRUE(last[t] == nullptr || last[t] + 1 == r);  // each thread's in its order
      last[t] = r;
    }
  }
  for (std::thread& t : threads) t.join();
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(wake.try_acquire());
}

}  // namespace
}  // namespace leat::coroutine
