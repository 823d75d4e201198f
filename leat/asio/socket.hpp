#pragma once
// What stream_socket, acceptor and udp_socket have in common: the executor, the handle, opening and closing, names and
// options. Members are named as those of boost::asio::basic_socket and mean the same; what the operating system's
// sockets have and Leat's have not (native_handle, assign) is left out.
//
// Errors: with a last parameter error_code& it is set, without one boost::system::system_error is thrown.
// Threading: one thread at a time uses an object (an implicit or explicit strand), as with Boost.Asio's.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/system/system_error.hpp>
#include <leat/asio/context.hpp>
#include <leat/asio/endpoint.hpp>
#include <leat/asio/operation.hpp>
#include <leat/asio/options.hpp>
#include <type_traits>

namespace leat::asio {

// Constructors take an executor, or what has one.
template <class T, class Executor>
concept HasExecutorFor = requires(T& t) {
  { t.get_executor() } -> std::convertible_to<Executor>;
}
&&!std::is_convertible_v<T&, Executor>;

namespace detail {

inline void throw_if(const error_code& e) {
  if (e) throw boost::system::system_error(e);
}

}  // namespace detail

template <class Protocol, class Executor>
class basic_socket : public net::socket_base {
 public:
  using executor_type = Executor;
  using protocol_type = Protocol;
  using endpoint_type = typename Protocol::endpoint;
  using default_token = net::default_completion_token_t<Executor>;

  // `service`: none: the one that is attached to the executor's context.
  explicit basic_socket(const executor_type& executor, std::shared_ptr<Service> service = nullptr)
      : executor_(executor),
        service_(service ? std::move(service) : attached(net::query(executor, net::execution::context))) {
    if (!service_) throw boost::system::system_error(net::error::operation_not_supported, "no stack is attached");
  }
  template <HasExecutorFor<Executor> Context>
  explicit basic_socket(Context& context, std::shared_ptr<Service> service = nullptr)
      : basic_socket(executor_type(context.get_executor()), std::move(service)) {}
  // A socket that was moved from is as one just made: it keeps executor and stack.
  basic_socket(basic_socket&& o) noexcept
      // NOLINTNEXTLINE(performance-move-constructor-init)
      : executor_(o.executor_), service_(o.service_), state_(std::exchange(o.state_, nullptr)) {}
  basic_socket& operator=(basic_socket&& o) noexcept {
    if (this == &o) return *this;
    close_quietly();
    executor_ = o.executor_;
    service_ = o.service_;
    state_ = std::exchange(o.state_, nullptr);
    return *this;
  }
  basic_socket(const basic_socket&) = delete;
  basic_socket& operator=(const basic_socket&) = delete;

  [[nodiscard]] executor_type get_executor() noexcept { return executor_; }
  [[nodiscard]] const std::shared_ptr<Service>& service() const { return service_; }
  [[nodiscard]] Handle handle() const { return state_ ? state_->handle : Handle{}; }
  [[nodiscard]] bool is_open() const { return static_cast<bool>(handle()); }

  void open(const protocol_type&, error_code& e) {
    if (is_open()) {
      e = net::error::already_open;
      return;
    }
    Op op;
    op.open(std::is_same_v<Protocol, net::ip::tcp> ? SocketKind::stream : SocketKind::udp);
    e = call(op);
    if (!e) state().handle = op.handle;
  }
  void open(const protocol_type& protocol = protocol_type::v4()) {
    throwing([&](error_code& e) { open(protocol, e); });
  }
  // Graceful, in the background; what is pending ends with operation_aborted. With the option linger above 0 it waits
  // first, as Boost.Asio's does, until the peer has everything or the time is over; a destructor never waits.
  void close(error_code& e) { close_now(e, true); }
  void close() {
    throwing([&](error_code& e) { close(e); });
  }
  // Ends what is pending; as always when an operation is cancelled, nothing is lost.
  void cancel(error_code& e) {
    e = {};
    if (state_) context().cancel(*state_);
  }
  void cancel() {
    throwing([&](error_code& e) { cancel(e); });
  }

  void bind(const endpoint_type& local, error_code& e) {
    Op op;
    op.bind(handle(), from_asio(local));
    op.flags.alone = true;
    e = call(op);
  }
  void bind(const endpoint_type& local) {
    throwing([&](error_code& e) { bind(local, e); });
  }
  [[nodiscard]] endpoint_type local_endpoint(error_code& e) const { return name(Verb::local_endpoint, e); }
  [[nodiscard]] endpoint_type local_endpoint() const {
    return throwing([&](error_code& e) { return local_endpoint(e); });
  }

  void non_blocking(bool on) { state().non_blocking = on; }
  void non_blocking(bool on, error_code& e) { state().non_blocking = on, e = {}; }
  [[nodiscard]] bool non_blocking() const { return state_ && state_->non_blocking; }

  // The option types of Boost.Asio (socket_base::reuse_address, ip::tcp::no_delay ...); others: no_protocol_option.
  template <class Option>
  void set_option(const Option& option, error_code& e) {
    const auto p = protocol_type::v4();
    const auto value = detail::option_from_system(option.level(p), option.name(p), option.data(p), option.size(p));
    if (!value) {
      e = net::error::no_protocol_option;
      return;
    }
    Op op;
    op.set_option(handle(), value->id, value->value);
    e = call(op);
  }
  template <class Option>
  void set_option(const Option& option) {
    throwing([&](error_code& e) { set_option(option, e); });
  }
  template <class Option>
  void get_option(Option& option, error_code& e) const {
    const auto p = protocol_type::v4();
    const auto id = detail::option_of_system(option.level(p), option.name(p));
    Op op;
    if (id) op.get_option(handle(), *id);
    e = id ? call(op) : error_code(net::error::no_protocol_option);
    if (!e && !detail::option_to_system(option.level(p), option.name(p), op.value, option.data(p), option.size(p)))
      e = net::error::invalid_argument;
  }
  template <class Option>
  void get_option(Option& option) const {
    throwing([&](error_code& e) { get_option(option, e); });
  }
  // Any option of Leat's own table.
  void set_option(OptionId id, std::int64_t value, error_code& e) {
    Op op;
    op.set_option(handle(), id, value);
    e = call(op);
  }

 protected:
  ~basic_socket() { close_quietly(); }

  // Runs a verb that never waits, or that may block this thread when `wait` says so.
  error_code call(Op& op, bool wait = false) const {
    op.flags.dont_wait = !wait;
    service_->run(op);
    return op.error == Errc::bad_handle ? error_code(net::error::bad_descriptor) : to_error_code(op.error);
  }
  // A transfer in this thread.
  std::size_t transfer(Op& op, error_code& e) const {
    e = call(op, !non_blocking());
    if (e) return 0;
    if (op.count == 0 && op.status == IoStatus::would_block) e = net::error::would_block;
    return op.count;
  }
  template <class Call>
  static auto throwing(Call&& call) {
    error_code e;
    if constexpr (std::is_void_v<decltype(call(e))>) {
      call(e);
      detail::throw_if(e);
    } else {
      auto result = call(e);
      detail::throw_if(e);
      return result;
    }
  }
  [[nodiscard]] endpoint_type name(Verb verb, error_code& e) const {
    Op op;
    op.verb = verb;
    op.socket = handle();
    e = call(op);
    return e ? endpoint_type{} : to_asio<endpoint_type>(op.endpoint);
  }
  detail::socket_state& state() {
    shared_state();
    return *state_;
  }
  const std::shared_ptr<detail::socket_state>& shared_state() {
    if (!state_) {
      state_ = std::make_shared<detail::socket_state>();
      state_->service = service_;
    }
    return state_;
  }
  void adopt(Handle h) { state().handle = h; }
  [[nodiscard]] detail::context_service& context() const {
    return net::use_service<detail::context_service>(net::query(executor_, net::execution::context));
  }

 private:
  void close_now(error_code& e, bool may_wait) {
    e = {};
    if (!is_open()) return;
    Op op;
    op.close(std::exchange(state().handle, Handle{}));
    e = call(op, may_wait);
  }
  void close_quietly() {
    error_code ignored;
    close_now(ignored, false);
  }

  executor_type executor_;
  std::shared_ptr<Service> service_;
  std::shared_ptr<detail::socket_state> state_;  // made when it is needed; gone when moved from
};

}  // namespace leat::asio
