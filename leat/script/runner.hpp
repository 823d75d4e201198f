#pragma once
// Runner: plays a Script against a Stack of its own, in process and in virtual time. The stack has one interface that
// carries bare IP, with the script's local address and a default route; time jumps from deadline to deadline, so a
// script of hours runs in microseconds and gives the same result every time.
//
//   const auto parsed = parse(name, text);   const RunReport report = run(parsed.script, {.modules = &kAllModules});
//
// Every segment that the stack sends is kept with its time; an outbound event takes the next one and compares it. The
// first difference ends the run. Segments that no event asked for are an error as soon as a later event sees them; at
// the end of the script they are one only with `complete`, as packetdrill doesn't look at them.
//
// Threading: a function; everything it needs is its own.

#include <functional>
#include <leat/core/modules.hpp>
#include <leat/script/script.hpp>

namespace leat::script {

struct RunOptions {
  const Modules* modules = nullptr;  // what the stack is made of; must be given
  // Called for every packet and call with a line of text; may be empty.
  std::function<void(const std::string& line)> trace;
  bool complete = false;  // the script names everything that is sent before its last event is over
};

struct RunReport {
  std::optional<Diagnostic> failure;
  unsigned events = 0;
  unsigned packets_in = 0;
  unsigned packets_out = 0;
  [[nodiscard]] bool passed() const { return !failure.has_value(); }
};

[[nodiscard]] RunReport run(const Script& script, const RunOptions& options);

}  // namespace leat::script
