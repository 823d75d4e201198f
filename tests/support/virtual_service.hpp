#pragma once
// VirtualService: the Service of one of two hosts on a wire under a virtual clock, on one thread. run() turns both
// hosts and moves the clock until the operation is complete, so a test of an API form needs no thread, no device and no
// waiting:
//
//   VirtualWorld world;
//   Op op;  op.open(SocketKind::stream);  world.service(0).run(op);
//
// A run() that waits for what never comes would hang; it ends after `patience` of virtual time with Errc::timed_out and
// a test failure. Threading: one thread.

#include <gtest/gtest.h>
#include <poll.h>

#include <leat/drive/op_engine.hpp>
#include <leat/drive/two_hosts_test_support.hpp>
#include <leat/op/service.hpp>
#include <memory>

namespace leat::test {

class VirtualWorld {
 public:
  class HostService final : public Service {
   public:
    HostService(VirtualWorld& world, std::size_t host) : world_(&world), host_(host) {}
    void run(Op& op) override {
      ASSERT_EQ(op.completed, nullptr);
      bool done = engine().start(op);
      op.context = &done;
      op.completed = [](Op& o) { *static_cast<bool*>(o.context) = true; };
      world_->flush();
      const auto over = [&] { return done || (op.also_fd >= 0 && readable(op.also_fd)); };
      if (!done && world_->advance(over, world_->patience)) {
        op.also_ready = !done;
        if (!done) engine().withdraw(op, Errc::interrupted);
        world_->flush();
      } else if (!done) {
        ADD_FAILURE() << "an operation did not end: verb " << static_cast<int>(op.verb);
        engine().withdraw(op, Errc::timed_out);
        world_->flush();
      }
      op.completed = nullptr;
      op.context = nullptr;
    }
    void start(Op& op) override {
      ASSERT_NE(op.completed, nullptr);
      if (engine().start(op)) op.completed(op);
      world_->flush();
    }
    void cancel(Op& op) override {
      engine().withdraw(op, Errc::cancelled);
      world_->flush();
    }
    [[nodiscard]] Instant now() const override { return world_->hosts.now(); }
    Instant poll() override {
      world_->step();
      return world_->hosts.now();
    }

   private:
    static bool readable(int fd) {
      pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
      return ::poll(&p, 1, 0) > 0;
    }
    OpEngine& engine() { return *world_->engines_[host_]; }
    VirtualWorld* world_;
    std::size_t host_;
  };

  VirtualWorld() : VirtualWorld(TwoHosts::Options{}) {}
  explicit VirtualWorld(const TwoHosts::Options& o) : hosts(o) {
    for (std::size_t i = 0; i < 2; ++i) {
      engines_[i] = std::make_unique<OpEngine>(hosts.stack(i));
      services_[i] = std::make_shared<HostService>(*this, i);
    }
  }
  ~VirtualWorld() {
    for (auto& e : engines_) e->withdraw_all(Errc::shut_down);
    deliver();
  }
  VirtualWorld(const VirtualWorld&) = delete;
  VirtualWorld& operator=(const VirtualWorld&) = delete;

  [[nodiscard]] HostService& service(std::size_t host) { return *services_[host]; }
  [[nodiscard]] std::shared_ptr<Service> shared_service(std::size_t host) { return services_[host]; }
  [[nodiscard]] OpEngine& engine(std::size_t host) { return *engines_[host]; }

  // Turns both hosts and moves the clock until done() or until `limit` has passed.
  template <class Done>
  bool advance(Done&& done, Duration limit) {
    const Instant until = hosts.now() + limit;
    for (;;) {
      if (done()) return true;
      const Instant deadline = earlier(engines_[0]->next_deadline(), engines_[1]->next_deadline());
      const bool in_time = hosts.run(earlier(until, deadline), [&] {
        step();
        return done();
      });
      step();
      if (in_time || done()) return true;
      if (hosts.now() >= until) return false;
    }
  }
  void run_for(Duration d) {
    (void)advance([] { return false; }, d);
  }
  // Completes what became ready, at this time.
  void step() {
    for (auto& e : engines_) e->settle(hosts.now());
    deliver();
  }
  // What calls have queued leaves, and is received at the other side, at this time.
  void flush() {
    for (std::size_t i = 0; i < 2; ++i) (void)hosts.shard(i).flush(hosts.now());
    step();
  }

  TwoHosts hosts;
  Duration patience = Duration::s(1000);

 private:
  void deliver() {
    for (auto& e : engines_)
      while (Op* const op = e->take_completed()) op->completed(*op);
  }
  std::array<std::unique_ptr<OpEngine>, 2> engines_;
  std::array<std::shared_ptr<HostService>, 2> services_;
};

}  // namespace leat::test
