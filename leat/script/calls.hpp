#pragma once
// Calls: the socket calls of a script, on a Stack. Descriptors are the script's numbers. A call is tried without
// blocking; one that would block says so, and the runner tries it again when something may have changed.
//
// What a blocking read or write has moved so far is kept in the Pending call. Data is stream_byte() of the position in
// the stream, both ways; read data that differs is an error of the stack.
//
// Threading: one owner, with the stack.

#include <leat/core/stack.hpp>
#include <leat/script/names.hpp>
#include <leat/script/script.hpp>
#include <map>

namespace leat::script {

struct Descriptor {
  Handle handle;
  bool nonblocking = false;
  bool stream = true;
  std::uint64_t read = 0;
  std::uint64_t written = 0;
  bool connecting = false;
};

struct CallOutcome {
  bool would_block = false;
  std::int64_t value = 0;
  std::int64_t error = 0;  // errno value when `value` is -1
  std::string mismatch;    // an output argument, or data, is not what the script says
  std::string bad_script;  // the call can't be made at all: the script's fault
};

struct PendingCall {
  const Event* event = nullptr;
  const CallSpec* call = nullptr;
  bool retried = false;  // connect has begun, poll has waited
  std::uint64_t moved = 0;
  Instant deadline = Instant::never();  // of poll
};

class Calls {
 public:
  Calls(Stack& stack, const Config& config) : stack_(&stack), config_(&config) {}

  [[nodiscard]] CallOutcome run(PendingCall& pending, Instant now);

  // The endpoints of the last successful connect, for the packets that follow. Taken once.
  struct Connected {
    Endpoint local, remote;
    bool stream = true;
  };
  [[nodiscard]] std::optional<Connected> take_connected();
  // The stream that was connected or accepted last, for assertions.
  [[nodiscard]] Handle last_stream() const { return last_stream_; }

 private:
  struct Arguments;
  using Function = CallOutcome (Calls::*)(PendingCall&, Arguments&, Instant now);
  struct Entry {
    std::string_view name;
    std::size_t least, most;
    Function function;
  };
  static const Entry* find(std::string_view name);
  [[nodiscard]] Descriptor* descriptor_of(Arguments& in);

  CallOutcome socket(PendingCall&, Arguments&, Instant);
  CallOutcome bind(PendingCall&, Arguments&, Instant);
  CallOutcome listen(PendingCall&, Arguments&, Instant);
  CallOutcome accept(PendingCall&, Arguments&, Instant);
  CallOutcome connect(PendingCall&, Arguments&, Instant);
  CallOutcome receive(PendingCall&, Arguments&, Instant);
  CallOutcome send(PendingCall&, Arguments&, Instant);
  CallOutcome close(PendingCall&, Arguments&, Instant);
  CallOutcome shutdown(PendingCall&, Arguments&, Instant);
  CallOutcome setsockopt(PendingCall&, Arguments&, Instant);
  CallOutcome getsockopt(PendingCall&, Arguments&, Instant);
  CallOutcome fcntl(PendingCall&, Arguments&, Instant);
  CallOutcome poll(PendingCall&, Arguments&, Instant);

  [[nodiscard]] std::int64_t poll_events(const Descriptor& d, std::int64_t asked);
  [[nodiscard]] static OptionName socket_option(Arguments& in);
  [[nodiscard]] Endpoint address(Arguments& in, std::size_t i, Port default_port, bool remote);

  Stack* stack_;
  const Config* config_;
  std::map<std::int64_t, Descriptor> fds_;
  std::optional<Connected> connected_;
  Handle last_stream_;
};

}  // namespace leat::script
