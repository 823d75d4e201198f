// Operations that wait for sockets to become ready: poll and ready sets.

#include <leat/drive/op_engine_test_support.hpp>

namespace leat::test {
namespace {

TEST_F(OpEngineTest, PollTellsWhichSocketIsReadyAndNothingAtItsDeadline) {
  connect();
  std::array<Watch, 3> watches;
  watches[0].socket = listener;
  watches[0].wanted = Ready::readable;
  watches[1].socket = server;
  watches[1].wanted = Ready::readable;
  watches[2].socket = server;  // the same socket twice
  watches[2].wanted = Ready::readable;
  Op op;
  op.verb = Verb::poll;
  op.watches = watches;
  op.deadline = w.hosts.now() + Duration::ms(10);
  w.service(1).run(op);
  EXPECT_EQ(op.error, Errc{});
  EXPECT_EQ(op.count, 0U);
  Started later;
  later.verb = Verb::poll;
  later.watches = watches;
  w.service(1).start(later);
  send(0, client, numbers(1));
  w.run_for(Duration::ms(1));
  ASSERT_TRUE(later.over);
  EXPECT_EQ(later.count, 2U);
  EXPECT_EQ(watches[0].ready, Ready::none);
  EXPECT_EQ(watches[1].ready, Ready::readable);
}

class ReadySetTest : public OpEngineTest {
 protected:
  void add(SetMember& m, Handle h, Ready wanted, SetFlags flags, std::uint64_t data) {
    m.socket = h;
    m.wanted = wanted;
    m.flags = flags;
    m.data = data;
    EXPECT_EQ(call(Verb::add_member, &m), Errc{});
  }
  Errc call(Verb verb, SetMember* m = nullptr) {
    Op op;
    op.verb = verb;
    op.set = &set;
    op.member = m;
    w.service(1).run(op);
    return op.error;
  }
  std::size_t wait(Duration patience = {}) {
    Op op;
    op.verb = Verb::wait_set;
    op.set = &set;
    op.events = events;
    op.flags.dont_wait = patience == Duration{};
    if (!op.flags.dont_wait) op.deadline = w.hosts.now() + patience;
    w.service(1).run(op);
    EXPECT_EQ(op.error, Errc{});
    return op.count;
  }
  void send_one() {
    send(0, client, numbers(1));
    w.run_for(Duration::ms(1));
  }
  void TearDown() override { EXPECT_EQ(call(Verb::close_set), Errc{}); }

  ReadySet set;
  SetMember a, b;
  std::array<SetEvent, 4> events;
};

TEST_F(ReadySetTest, LevelIsToldWhileItIsTrue) {
  connect();
  add(a, server, Ready::readable, {}, 7);
  EXPECT_EQ(wait(), 0U);
  send_one();
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(wait(), 1U);
    EXPECT_EQ(events[0].data, 7U);
    EXPECT_EQ(events[0].ready, Ready::readable);
  }
  Bytes got(10);
  Op op;
  op.receive(server, got);
  w.service(1).run(op);
  EXPECT_EQ(wait(), 0U);
}

TEST_F(ReadySetTest, EdgeIsToldOnceForEachChange) {
  connect();
  add(a, server, Ready::readable, {.edge = true}, 1);
  send_one();
  EXPECT_EQ(wait(), 1U);
  EXPECT_EQ(wait(), 0U);
  send_one();
  EXPECT_EQ(wait(), 1U);
  EXPECT_EQ(wait(), 0U);
}

TEST_F(ReadySetTest, OneShotIsSilentUntilItIsChanged) {
  connect();
  add(a, server, Ready::readable, {.one_shot = true}, 1);
  send_one();
  EXPECT_EQ(wait(), 1U);
  send_one();
  EXPECT_EQ(wait(), 0U);
  EXPECT_EQ(call(Verb::change_member, &a), Errc{});
  EXPECT_EQ(wait(), 1U);
}

TEST_F(ReadySetTest, AWaitEndsWhenAMemberBecomesReady) {
  connect();
  add(a, server, Ready::readable, {}, 1);
  add(b, listener, Ready::readable, {}, 2);
  Started op;
  op.verb = Verb::wait_set;
  op.set = &set;
  op.events = events;
  w.service(1).start(op);
  w.run_for(Duration::s(1));
  EXPECT_FALSE(op.over);
  send_one();
  ASSERT_TRUE(op.over);
  EXPECT_EQ(op.count, 1U);
  EXPECT_EQ(events[0].data, 1U);
  const Instant start = w.hosts.now();
  EXPECT_EQ(call(Verb::remove_member, &a), Errc{});
  EXPECT_EQ(wait(Duration::ms(30)), 0U);
  EXPECT_EQ(w.hosts.now(), start + Duration::ms(30));
}

TEST_F(ReadySetTest, OneOfTheExclusiveMembersIsToldWhereSomebodyWaits) {
  connect();
  ReadySet other;
  SetMember m;
  m.socket = server;
  m.wanted = Ready::readable;
  m.flags = {.edge = true, .exclusive = true};
  Op op;
  op.verb = Verb::add_member;
  op.set = &other;
  op.member = &m;
  w.service(1).run(op);
  add(a, server, Ready::readable, {.edge = true, .exclusive = true}, 1);
  Started here, there;
  for (Started* const x : {&here, &there}) {
    x->verb = Verb::wait_set;
    x->set = x == &here ? &set : &other;
    x->events = events;
    w.service(1).start(*x);
  }
  send_one();
  EXPECT_NE(here.over, there.over);
  send_one();  // of the two who wait now one does not
  EXPECT_TRUE(here.over);
  EXPECT_TRUE(there.over);
  send_one();  // nobody does
  EXPECT_TRUE(set.has_ready());
  EXPECT_TRUE(other.has_ready());
  op.verb = Verb::close_set;
  w.service(1).run(op);
}

TEST_F(ReadySetTest, AClosedSocketLeavesItsSets) {
  connect();
  add(a, server, Ready::readable, {}, 1);
  send_one();
  close(1, server);
  EXPECT_TRUE(a.socket_gone);
  EXPECT_EQ(wait(), 0U);
  EXPECT_EQ(call(Verb::remove_member, &a), Errc::not_found);
}

TEST_F(ReadySetTest, ClosingASetEndsWhoWaitsOnIt) {
  connect();
  add(a, server, Ready::readable, {}, 1);
  Started op;
  op.verb = Verb::wait_set;
  op.set = &set;
  op.events = events;
  w.service(1).start(op);
  EXPECT_EQ(call(Verb::close_set), Errc{});
  EXPECT_TRUE(op.over);
  EXPECT_EQ(op.error, Errc::bad_handle);
}

TEST_F(ReadySetTest, WakingASetEndsWhoWaitsForLessOnceAndNoOther) {
  Started looks, counts;
  for (Started* op : {&looks, &counts}) {
    op->verb = Verb::wait_set;
    op->set = &set;
    op->value = 6;
  }
  looks.events = events;
  w.service(1).start(looks);
  w.service(1).start(counts);
  const auto wake = [&](std::int64_t value) {
    Op op;
    op.verb = Verb::wake_set;
    op.set = &set;
    op.value = value;
    w.service(1).run(op);
    EXPECT_EQ(op.error, Errc{});
  };
  wake(6);
  EXPECT_FALSE(looks.over);
  wake(7);
  EXPECT_TRUE(looks.over);
  EXPECT_EQ(looks.error, Errc::interrupted);
  EXPECT_FALSE(counts.over) << "it takes nothing, so it is not for those";
  Started late;
  late.verb = Verb::wait_set;
  late.set = &set;
  late.events = events;
  late.value = 6;
  w.service(1).start(late);
  EXPECT_TRUE(late.over) << "what it was to be woken for came before";
  Started again;
  again.verb = Verb::wait_set;
  again.set = &set;
  again.events = events;
  again.value = 7;
  w.service(1).start(again);
  EXPECT_FALSE(again.over);
  EXPECT_EQ(call(Verb::close_set), Errc{});
}

}  // namespace
}  // namespace leat::test
