// Every schedule of a few threads over the shared stack's protocol (ShardToken, TokenWord), with a bounded number of
// preemptions, on the real source: the atomics and the World are the test's and hand control to a scheduler at every
// access. And each again with one thread stopped for good at every one of its steps: what does not depend on it still
// holds. Under a sanitizer there are fewer of them.

#include <leat/runtime/model_world_test_support.hpp>

namespace leat {
namespace {

using namespace test;

class SharedSchedules : public ::testing::Test {
 protected:
  // A preemption more in fewer of the schedules is the job of the random ones.
  static void prove(const Scenario& scenario, unsigned most = 30'000) {
    if (kFewer > 0) most = std::min(most, kFewer);
    covered = {};
    const unsigned all = explore(scenario, 2, most);
    const unsigned stops = stop_each(scenario);
    wander(scenario, kFewer > 0 ? kFewer / 10 : 2000);
    RecordProperty("schedules", static_cast<int>(all));
    std::printf("  %u schedules%s, %u stops; %llu grants, %llu times left behind, %llu role moves, %llu foreign\n", all,
                all == most ? " (not all)" : "", stops, static_cast<unsigned long long>(covered.grants),
                static_cast<unsigned long long>(covered.left_behind),
                static_cast<unsigned long long>(covered.role_moves),
                static_cast<unsigned long long>(covered.foreign_ops));
  }
};

void spin_everywhere(Trial& run) {
  run.world.spin_rounds = 2;
  run.world.posted_spin_rounds = 2;
}

// A receive that somebody starts: it must be told of exactly once, however it ends.
Op& told_once(Trial& run) {
  Op& op = run.graves.make();
  auto told = std::make_shared<int>(0);
  op.verb = Verb::receive;
  op.context = told.get();
  op.completed = [](Op& o) { ++*static_cast<int*>(o.context); };
  run.at_end = [&run, told] {
    if (*told != 1) run.schedule.fail("(a) told " + std::to_string(*told) + " times");
  };
  return op;
}

// A caller who gets a signal in its sleep, unless its call is over by then.
void caller_with_signal(Trial& run, const std::string& name, std::function<void()> calls) {
  auto ended = std::make_shared<bool>(false);
  Thread& caller = run.caller(name, [calls = std::move(calls), ended] {
    calls();
    *ended = true;
  });
  run.schedule.add("signal", [&run, &caller, ended] {
    run.schedule.wait([&] {
      ModelSleeper* const s = run.world.sleeper_of(caller);
      return *ended || (s != nullptr && s->asleep);
    });
    if (!*ended) run.world.sleeper_of(caller)->signal = true;
  });
}

// Its receive ends in `other` or by the signal.
void reader_with_signal(Trial& run, Errc other) {
  caller_with_signal(run, "reader", [&run, other] {
    const Errc e = run.call(Verb::receive, 0);
    if (e != other && e != Errc::interrupted) run.schedule.fail("a third way to end");
  });
}

TEST_F(SharedSchedules, ThreeCallersWhoNeverWaitForPackets) {
  prove([](Trial& run) {
    for (int i = 0; i < 3; ++i)
      run.caller("caller", [&run] {
        if (run.call(Verb::take_error) != Errc{}) run.schedule.fail("refused");
      });
  });
}

TEST_F(SharedSchedules, FourCallersSpinAndTheTokenIsGranted) {
  prove([](Trial& run) {
    spin_everywhere(run);
    for (int i = 0; i < 4; ++i)
      run.caller("caller", [&run] {
        if (run.call(Verb::take_error) != Errc{}) run.schedule.fail("refused");
      });
  });
  EXPECT_GT(covered.grants, 0U);
}

TEST_F(SharedSchedules, WorkIsLeftBehindForASleeperWhenNobodySpins) {
  prove([](Trial& run) {
    for (int i = 0; i < 3; ++i) run.caller("caller", [&run] { (void)run.call(Verb::take_error); });
  });
  EXPECT_GT(covered.left_behind, 0U);
  prove([](Trial& run) {
    run.with_janitor();
    for (int i = 0; i < 4; ++i) run.caller("caller", [&run] { (void)run.call(Verb::take_error); });
  });
  EXPECT_GT(covered.left_behind, 0U);
}

// The one who watches asked for a turn, sleeps without the watch, and its wish is left behind.
TEST_F(SharedSchedules, TheWatchersTurnIsLeftBehindWithoutAJanitor) {
  prove([](Trial& run) {
    run.caller("reader", [&run] { (void)run.call(Verb::receive, 0); });
    for (int i = 0; i < 2; ++i)
      run.caller("busy", [&run] {
        (void)run.call(Verb::take_error);
        (void)run.call(Verb::take_error);
      });
    run.schedule.add("wire", [&run] { run.world.packet(0); });
  });
  EXPECT_GT(covered.left_behind, 0U);
  EXPECT_GT(covered.role_moves, 0U);
}

TEST_F(SharedSchedules, TwoWaitForPacketsAndTheWatchIsHandedOn) {
  prove([](Trial& run) {
    for (std::size_t i = 0; i < 2; ++i)
      run.caller("reader", [&run, i] {
        if (run.call(Verb::receive, i) != Errc{}) run.schedule.fail("refused");
      });
    run.schedule.add("wire", [&run] {
      run.world.packet(0);
      run.world.packet(1);
    });
  });
}

TEST_F(SharedSchedules, TwoWaitForPacketsSpinning) {
  prove([](Trial& run) {
    spin_everywhere(run);
    for (std::size_t i = 0; i < 2; ++i) run.caller("reader", [&run, i] { (void)run.call(Verb::receive, i); });
    run.schedule.add("wire", [&run] {
      run.world.packet(0);
      run.world.packet(1);
    });
  });
}

TEST_F(SharedSchedules, WhoWaitsAgainAndAgainTakesTheWatchFromWhoSleeps) {
  prove([](Trial& run) {
    spin_everywhere(run);
    run.caller("patient", [&run] { (void)run.call(Verb::receive, 0); });
    run.caller("busy", [&run] {
      for (int i = 0; i < 3; ++i) (void)run.call(Verb::receive, 1);
    });
    run.schedule.add("wire", [&run] {
      for (int i = 0; i < 3; ++i) run.world.ring_packet(1);
      run.world.ring_packet(0);
    });
  });
  EXPECT_GT(covered.takeovers, 0U);
}

TEST_F(SharedSchedules, AReaderAndABusyCallerWithAJanitor) {
  prove([](Trial& run) {
    run.with_janitor();
    run.caller("reader", [&run] { (void)run.call(Verb::receive, 0); });
    run.caller("busy", [&run] {
      (void)run.call(Verb::take_error);
      (void)run.call(Verb::take_error);
    });
    run.schedule.add("wire", [&run] { run.world.packet(0); });
  });
}

TEST_F(SharedSchedules, ARingWithoutADescriptorLosesNoPacket) {
  prove([](Trial& run) {
    for (std::size_t i = 0; i < 2; ++i) run.caller("reader", [&run, i] { (void)run.call(Verb::receive, i); });
    run.schedule.add("wire", [&run] {
      run.world.ring_packet(0);
      run.world.ring_packet(1);
    });
  });
}

// Who spins is not rung; before it sleeps devices must hear of it, also when the token is somebody else's just then.
TEST_F(SharedSchedules, ARingLosesNoPacketBetweenSpinAndSleep) {
  prove([](Trial& run) {
    spin_everywhere(run);
    run.caller("reader", [&run] { (void)run.call(Verb::receive, 0); });
    run.caller("busy", [&run] { (void)run.call(Verb::take_error); });
    run.schedule.add("wire", [&run] { run.world.ring_packet(0); });
  });
  prove([](Trial& run) {
    spin_everywhere(run);
    for (std::size_t i = 0; i < 2; ++i) run.caller("reader", [&run, i] { (void)run.call(Verb::receive, i); });
    run.schedule.add("wire", [&run] {
      run.world.ring_packet(0);
      run.world.ring_packet(1);
    });
  });
}

// Nobody but the kick says that a turn ended at its budget, and each such turn says it again.
TEST_F(SharedSchedules, WhatATurnLeavesIsTheWatchersEachTime) {
  prove([](Trial& run) {
    run.world.packets_a_turn = 1;
    run.caller("reader", [&run] { (void)run.call(Verb::receive, 0); });
    run.caller("poller", [&run] {
      for (const std::size_t last : {1, 0}) {
        run.world.packet(1);
        run.world.packet(last);
        (void)run.token.poll();
      }
    });
  });
}

TEST_F(SharedSchedules, AStartedOperationIsTheJanitorsWhenItsCallerHasGone) {
  prove([](Trial& run) {
    run.with_janitor();
    Op& op = told_once(run);
    run.caller("starter", [&run, &op] {
      run.token.start(op);
      (void)run.call(Verb::receive, 1);
    });
    run.schedule.add("wire", [&run] {
      run.world.packet(1);
      run.world.packet(0);
    });
  });
}

TEST_F(SharedSchedules, CancelMeetsCompletion) {
  prove([](Trial& run) {
    Op& op = told_once(run);
    auto started = std::make_shared<bool>(false);
    run.caller("starter", [&run, &op, started] {
      run.token.start(op);
      *started = true;
      (void)run.call(Verb::receive, 1);
    });
    run.caller("canceller", [&run, &op, started] {
      run.schedule.wait([started] { return *started; });
      run.token.cancel(op);
      run.token.cancel(op);
    });
    run.schedule.add("wire", [&run] {
      run.world.packet(0);
      run.world.packet(1);
    });
  });
}

TEST_F(SharedSchedules, ASignalMeetsAPacket) {
  prove([](Trial& run) {
    reader_with_signal(run, Errc{});
    run.caller("other", [&run] { (void)run.call(Verb::receive, 1); });
    run.schedule.add("wire", [&run] {
      run.world.packet(0);
      run.world.packet(1);
    });
  });
}

// Rule 16: a close that a signal or a cancellation took back before anybody ran it would leave its socket open.
TEST_F(SharedSchedules, ASignalTakesNothingFromWhatNeverWaits) {
  for (const bool janitor : {false, true})
    prove([janitor](Trial& run) {
      if (janitor) run.with_janitor();
      caller_with_signal(run, "closer", [&run, janitor] {
        run.schedule.wait([&run, janitor] { return run.world.janitor_started || !janitor; });
        if (run.call(Verb::take_error) != Errc{}) run.schedule.fail("it was not run");
      });
      for (int i = 0; i < 2; ++i) run.caller("busy", [&run] { (void)run.call(Verb::take_error); });
    });
  EXPECT_GT(covered.left_behind, 0U);
}

TEST_F(SharedSchedules, ACancellationDoesNotOvertakeItsOperation) {
  prove([](Trial& run) {
    run.with_janitor();
    Op& op = told_once(run);
    op.verb = Verb::take_error;
    auto started = std::make_shared<bool>(false);
    run.caller("starter", [&run, &op, started] {
      run.schedule.wait([&run] { return run.world.janitor_started; });
      run.token.start(op);
      *started = true;
    });
    run.caller("canceller", [&run, &op, started] {
      run.schedule.wait([started] { return *started; });
      run.token.cancel(op);
    });
    for (int i = 0; i < 2; ++i) run.caller("busy", [&run] { (void)run.call(Verb::take_error); });
    run.at_end = [told = std::move(run.at_end), &run, &op] {
      told();
      if (op.error != Errc{}) run.schedule.fail("it was not run");
    };
  });
  EXPECT_GT(covered.left_behind, 0U);
}

TEST_F(SharedSchedules, StopEndsWhoWaitsWhoStartedAndWhoCancels) {
  prove([](Trial& run) {
    run.with_janitor();
    Op& op = told_once(run);
    op.value = 2;
    run.caller("reader", [&run] {
      const Errc e = run.call(Verb::receive, 0);
      if (e != Errc::shut_down) run.schedule.fail("not shut down");
    });
    run.caller("canceller", [&run, &op] {
      run.token.start(op);
      run.token.cancel(op);
    });
    run.caller("stopper", [&run] {
      run.token.stop();
      if (run.call(Verb::take_error) != Errc::shut_down) run.schedule.fail("alive after its end");
    });
  });
}

TEST_F(SharedSchedules, ASignalMeetsStop) {
  prove([](Trial& run) {
    reader_with_signal(run, Errc::shut_down);
    run.caller("stopper", [&run] { run.token.stop(); });
  });
}

// Its loop is not there to take what is left behind while it waits in a call itself.
TEST_F(SharedSchedules, AProgramThatWatchesBlocksInACall) {
  prove([](Trial& run) {
    run.caller("program", [&run] {
      run.token.program_watches();
      (void)run.call(Verb::take_error);
    });
    for (int i = 0; i < 2; ++i) run.caller("busy", [&run] { (void)run.call(Verb::take_error); });
  });
  EXPECT_GT(covered.left_behind, 0U);
}

// It watched, and does no more: what it started and nobody waits for is the janitor's.
TEST_F(SharedSchedules, AProgramThatWatchesNoMoreHandsOn) {
  prove([](Trial& run) {
    run.with_janitor();
    Op& op = run.graves.make();
    auto told = std::make_shared<int>(0);
    op.verb = Verb::receive;
    op.context = told.get();
    op.completed = [](Op& o) { ++*static_cast<int*>(o.context); };
    run.caller("program", [&run, &op] {
      run.token.program_watches();
      run.token.start(op);
      run.token.program_leaves();
    });
    run.caller("reader", [&run] { (void)run.call(Verb::receive, 1); });
    run.schedule.add("wire", [&run] {
      run.world.packet(0);
      run.world.packet(1);
    });
    run.at_end = [&run, told] {
      if (*told != 1) run.schedule.fail("(a) told " + std::to_string(*told) + " times");
    };
  });
}

TEST_F(SharedSchedules, ADeadlineIsKeptByWhoeverWatches) {
  prove([](Trial& run) {
    run.with_janitor();
    run.caller("hurried", [&run] {
      if (run.call(Verb::receive, 0, Duration::ns(500)) != Errc::timed_out) run.schedule.fail("not timed out");
    });
    run.caller("patient", [&run] { (void)run.call(Verb::receive, 1, Duration::ns(900)); });
  });
}

// Rule 14: a grace doubles each time that it ends with the program at work, up to 8 ms, and is 1 ms again when it was
// not, or when a timer is due more than 1 ms before its end.
TEST_F(SharedSchedules, TheJanitorsGraceLearns) {
  const Scenario alone = [](Trial& run) {
    run.caller("all", [&run] {
      ModelSleeper janitor;
      run.world.janitor = &janitor;
      run.token.janitor_starts(janitor);
      const auto receives = [&run] {
        run.world.packet(0);
        (void)run.call(Verb::receive, 0);
      };
      const auto expect = [&](Duration grace, JanitorMode mode = JanitorMode::grace) {
        const JanitorPlan plan = run.token.janitor_grace_ends(janitor);
        if (plan.mode != mode) run.schedule.fail("another mode");
        if (mode == JanitorMode::grace && plan.grace != grace)
          run.schedule.fail(std::to_string(plan.grace.count_us()) + " us of grace");
      };
      receives();
      if (!std::exchange(janitor.bell, false)) run.schedule.fail("nobody watches and the janitor is not rung");
      for (const int ms : {2, 4, 8, 8}) {
        expect(Duration::ms(ms));
        receives();
      }
      // It was away: a turn that is old.
      run.world.clock = run.world.clock + Duration::ms(3);
      expect(Duration::ms(1));
      receives();
      expect(Duration::ms(2));
      // Gone.
      expect({}, JanitorMode::leading);
      receives();
      expect(Duration::ms(2));
      receives();
      expect(Duration::ms(4));
      // A timer that is due after the look, up to 1 ms before it, and earlier.
      janitor.bell = false;
      Op& op = run.graves.make();
      op.verb = Verb::receive;
      op.value = 1;
      op.completed = [](Op&) {};
      op.deadline = run.world.clock + Duration::ms(3);
      run.token.start(op);
      if (janitor.bell) run.schedule.fail("rung for a timer that it is in time for");
      receives();
      expect(Duration::ms(4));
      Op& soon = run.graves.make();
      soon.verb = Verb::receive;
      soon.value = 1;
      soon.completed = [](Op&) {};
      soon.deadline = run.world.clock + Duration::us(100);
      run.token.start(soon);
      if (!std::exchange(janitor.bell, false)) run.schedule.fail("not rung for a timer that is due before it looks");
      run.token.cancel(op);
      run.token.cancel(soon);
      // A program that left one such deadline behind may leave more: it is not rung for those.
      for (unsigned i = 1; i < kLooksInTime; ++i) {
        receives();
        expect(Duration::ms(2));
      }
      for (const int ms : {4, 8}) {
        receives();
        expect(Duration::ms(ms));
      }
      run.token.stop();
      run.world.janitor = nullptr;
    });
  };
  EXPECT_EQ(explore(alone, 0, 10), 1U);
}

// It has learned that the program is at work, which now leaves a deadline behind and goes.
TEST_F(SharedSchedules, ADeadlineIsKeptHoweverLongTheGrace) {
  prove([](Trial& run) {
    run.with_janitor();
    Op& op = run.graves.make();
    auto told = std::make_shared<int>(0);
    op.verb = Verb::receive;
    op.context = told.get();
    op.completed = [](Op& o) { ++*static_cast<int*>(o.context); };
    run.caller("program", [&run, &op] {
      run.schedule.wait([&run] { return run.world.janitor_started; });
      (void)run.call(Verb::receive, 1);
      (void)run.call(Verb::receive, 2);
      op.deadline = run.world.clock + Duration::ns(100);
      run.token.start(op);
    });
    run.schedule.add("wire", [&run] {
      run.schedule.wait([&run] { return run.world.somebody_parked(); });
      run.world.packet(1);
      run.schedule.wait([&run] { return run.world.janitor_plans > 0; });
      run.world.packet(2);
    });
    run.at_end = [&run, told] {
      if (*told != 1) run.schedule.fail("(a) told " + std::to_string(*told) + " times");
    };
  });
}

}  // namespace
}  // namespace leat