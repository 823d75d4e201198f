#pragma once
// WaitPolicy: how somebody who waits for packets spends the time. A thread that sleeps costs nothing and takes some 20
// us to wake on another CPU; one that spins wakes at once and costs a CPU.
//
//   options.wait = WaitPolicy::sleeping();    // no CPU while it waits
//   options.wait = WaitPolicy::adaptive();    // spins while that has been winning, briefly if threads take turns; then
//   sleeps options.wait = WaitPolicy::spinning();    // for threads that have a CPU of their own
//
// A Runner takes `spin` alone: after the last packet it keeps turning for this long; Duration::max() never sleeps.
// Threading: a value.

#include <leat/base/time.hpp>

namespace leat {

struct WaitPolicy {
  Duration spin;              // before it sleeps, in each wait; zero: sleeps at once
  bool only_if_wins = false;  // spins only while waits have been ending within `spin`, and never on a single CPU

  static constexpr WaitPolicy sleeping() { return {}; }
  static constexpr WaitPolicy adaptive() { return {.spin = Duration::us(50), .only_if_wins = true}; }
  static constexpr WaitPolicy spinning() { return {.spin = Duration::ms(100)}; }
};

}  // namespace leat
