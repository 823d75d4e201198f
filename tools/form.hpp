#pragma once
// Forms: the ways in which a command calls its stack: `--form event|posix|channel|coroutine`. With `event` one thread
// owns the stack and callbacks run in it (Node::host). The other three call a stack that any thread may call, and look
// the same from here: streams, listeners and datagrams that block the calling thread.
//
//   auto form = make_form(Form::posix, node.shared());
//   auto listener = form->listen({IpAddress{}, Port{7}}).value();
//   auto stream = listener->accept().value();
//   while (auto n = stream->read(buffer).value()) stream->write({buffer, n});
//
// A read or write gives up with Errc::timed_out when nothing moved for as long as its patience. When the stack is
// stopped, every call fails. Threading: a stream has at most one reader and one writer; everything else as it says.

#include <leat/base/address.hpp>
#include <leat/base/result.hpp>
#include <leat/base/time.hpp>
#include <leat/op/message.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <memory>
#include <string_view>

namespace leat::tools {

enum class Form : std::uint8_t { event, posix, channel, coroutine };
// Throws Failure for a word that is none.
[[nodiscard]] Form parse_form(std::string_view text);

// Connections that wait to be accepted, in every form.
inline constexpr std::uint32_t kBacklog = 1024;

struct Patience {
  Duration read = Duration::max();
  Duration write = Duration::max();
};

class FormStream {
 public:
  virtual ~FormStream() = default;
  // At least one byte; 0: the peer has finished.
  virtual Result<std::size_t> read(MutableByteSpan to) = 0;
  // All of it.
  virtual Result<void> write(ByteSpan from) = 0;
  // FIN behind what was written.
  virtual void finish() = 0;
  // RST.
  virtual void abort() = 0;
  [[nodiscard]] virtual Endpoint remote() const = 0;
  // The stack's own name for it.
  [[nodiscard]] virtual Handle handle() const = 0;
};

class FormListener {
 public:
  virtual ~FormListener() = default;
  virtual Result<std::unique_ptr<FormStream>> accept(Duration within = Duration::max()) = 0;
};

class FormDatagrams {
 public:
  virtual ~FormDatagrams() = default;
  virtual Result<std::size_t> receive(MutableByteSpan to, Endpoint& from) = 0;
  virtual Result<void> send(ByteSpan bytes, const Endpoint& to) = 0;
};

class FormCalls {
 public:
  virtual ~FormCalls() = default;
  // An unspecified address takes both versions.
  virtual Result<std::unique_ptr<FormListener>> listen(const Endpoint& local) = 0;
  virtual Result<std::unique_ptr<FormStream>> connect(const Endpoint& remote, Duration within) = 0;
  // With a remote endpoint it takes datagrams from there alone, and hears when that refuses (ICMP).
  virtual Result<std::unique_ptr<FormDatagrams>> datagrams(const Endpoint& local, const Endpoint& remote = {}) = 0;

  // For what is made from now on.
  Patience patience;
};

// `form` is none of `event`.
[[nodiscard]] std::unique_ptr<FormCalls> make_form(Form form, std::shared_ptr<SharedStack> stack);
[[nodiscard]] std::unique_ptr<FormCalls> make_posix_form(std::shared_ptr<SharedStack> stack);
[[nodiscard]] std::unique_ptr<FormCalls> make_channel_form(std::shared_ptr<SharedStack> stack);
[[nodiscard]] std::unique_ptr<FormCalls> make_coroutine_form(std::shared_ptr<SharedStack> stack);

}  // namespace leat::tools
