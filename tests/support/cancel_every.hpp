#pragma once
// Row S8: every operation of a conversation is cancelled, one at a time, at several moments; the conversation must come
// out the same and leave nothing behind. What the forms have in common of it:
//
//   class Conversation : public Cancelled<Moment> { ... if (is_chosen("read")) ... was_ended_early() ... };
//   cancel_every<Conversation>(kMoments, {"read", ...});
//
// Each operation has a name; those that are given must all have been ended while they were under way.
//
// Threading: one thread.

#include <gtest/gtest.h>

#include <initializer_list>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <tests/support/virtual_service.hpp>

namespace leat::test {

// `Moment`: {way, turns}, when the chosen operation is cancelled; is_before(): before it begins.
template <class Moment>
class Cancelled {
 public:
  Cancelled(std::size_t chosen, Moment moment) : moment_(moment), chosen_(chosen) {}
  [[nodiscard]] bool was_cancelled() const { return cancelled_; }
  [[nodiscard]] bool ended_early() const { return ended_early_; }
  // What the operation that was chosen is called.
  [[nodiscard]] std::string_view name() const { return name_; }

 protected:
  // Asked once for every operation.
  bool is_chosen(std::string_view name) {
    const bool mine = next_++ == chosen_;
    cancelled_ = cancelled_ || mine;
    if (mine) name_ = name;
    return mine;
  }
  void was_ended_early() { ended_early_ = true; }
  void expect_nothing_left() {
    world_.run_for(Duration::s(300));  // TIME-WAIT and what was abandoned
    for (std::size_t host : {0U, 1U}) {
      EXPECT_EQ(world_.hosts.stack(host).core().sockets.used(), 0U) << "host " << host;
      EXPECT_EQ(world_.hosts.stack(host).core().tcp.connection_pool.used(), 0U) << "host " << host;
      EXPECT_TRUE(world_.engine(host).idle()) << "host " << host;
    }
    EXPECT_EQ(world_.hosts.pool().packets_free(), free_before_);
  }
  Moment moment_;
  VirtualWorld world_;

 private:
  std::size_t chosen_;
  std::size_t next_ = 0;
  std::string_view name_;
  bool cancelled_ = false;
  bool ended_early_ = false;
  std::uint32_t free_before_ = world_.hosts.pool().packets_free();
};

// Runs it with each of its operations cancelled at each moment; ends with the first failure.
template <class Conversation, class Moments>
void cancel_every(const Moments& moments, std::initializer_list<std::string_view> names) {
  std::size_t runs = 0;
  std::size_t ended_early = 0;
  std::map<std::string_view, std::size_t> under_way;  // how often each was ended
  for (const auto moment : moments) {
    for (std::size_t chosen = 0;; ++chosen) {
      SCOPED_TRACE("operation " + std::to_string(chosen) + ", way " + std::to_string(static_cast<int>(moment.way)) +
                   ", after " + std::to_string(moment.turns) + " turns");
      Conversation c(chosen, moment);
      c.run();
      if (testing::Test::HasFailure()) {
        std::cout << "the operation is called " << c.name() << '\n';
        return;
      }
      if (!c.was_cancelled()) break;  // past the last one: it ran untouched
      ++runs;
      if (!c.ended_early()) continue;
      ++ended_early;
      if (!moment.is_before()) ++under_way[c.name()];
    }
  }
  EXPECT_GT(runs, 100U);
  EXPECT_GT(ended_early, 50U);  // the others were complete before their cancellation
  for (const std::string_view name : names) EXPECT_GT(under_way[name], 0U) << name << " was never cancelled";
  std::cout << runs << " cancellations, " << ended_early << " of them before the operation was complete\n";
}

}  // namespace leat::test
