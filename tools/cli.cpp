#include "cli.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <iostream>
#include <memory>

#include "text.hpp"

namespace leat::tools {

namespace {

// CLI11 takes -1 and whatever is too large for the largest 64-bit number.
std::string not_negative(const std::string& text) {
  if (text.starts_with('-')) return cat("'", text, "' is not a number from 0");
  const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  return digits && !parse_number(text) ? cat("'", text, "' is not a number in range") : "";
}

// CLI11 takes 010 for eight, as C does: a person, and `seq -w`, mean ten.
std::string without_leading_zeros(std::string text) {
  if (text.find_first_not_of("0123456789") != std::string::npos) return text;
  return text.substr(std::min(text.find_first_not_of('0'), text.size() - 1));
}

// Names, and the kind of value that follows; neither how often nor what else must be there.
class HelpText final : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_size() == 0 ? "" : option->get_type_name();
    return type.empty() || option->get_positional() ? "" : cat(" ", type);
  }
  std::string make_option_usage(const CLI::Option* option) const override {
    const std::string name = make_option_name(option, true);
    return option->get_required() ? name : cat("[", name, "]");
  }
};

// "Could not convert: --mtu = abc" is the library's way to say it.
std::string in_our_words(std::string text) {
  constexpr std::string_view kConvert = "Could not convert: ";
  const std::size_t equal = text.find(" = ");
  if (text.starts_with(kConvert) && equal != std::string::npos)
    text = cat(text.substr(kConvert.size(), equal - kConvert.size()), ": '", text.substr(equal + 3),
               "' is not a number in range");
  for (char& c : text)
    if (c == '\n') c = ' ';
  return text;
}

void add_stack_options(CLI::App& command, StackArguments& a) {
  command.add_option("--device", a.device, "KIND[:NAME]: tap, tun, memory or shm; the default is tap:leat0")
      ->type_name("KIND[:NAME]");
  command
      .add_option("--ip", a.addresses, "address of the stack, repeatable; the default is 10.9.0.2/24 and fd09::2/64")
      ->type_name("ADDR/LEN")
      ->allow_extra_args(false);
  command.add_option("--gateway", a.gateways, "default route, one per IP version")
      ->type_name("ADDR")
      ->allow_extra_args(false);
  command.add_option("--mac", a.mac, "Ethernet address of the stack")->type_name("MAC");
  command.add_option("--mtu", a.mtu, "largest IP packet")->type_name("BYTES");
  command.add_option("--config", a.config, "configuration file (TOML)")->type_name("FILE");
  command.add_option("--pcap", a.pcap, "write a capture (pcapng)")->type_name("FILE");
  command.add_option("--snaplen", a.snap_length, "bytes of each packet in the capture; 0: all")->type_name("BYTES");
  command.add_option("--option", a.options, "an option of the stack, repeatable; 'list' names them")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command
      .add_option(
          "--impair", a.impair,
          "make the link bad, each way: "
          "delay=20ms,jitter=2ms,loss=2%,reorder=1%,reorder_by=1ms,duplicate=1%,corrupt=0.1%,rate=100M,queue=64")
      ->type_name("LIST");
  command.add_option("--seed", a.seed, "take keys and impairments from this number instead of the kernel")
      ->type_name("N")
      ->check(not_negative);
  command.add_flag("--setup", a.setup, "run the kernel-side commands that are otherwise printed");
  command.add_flag("--trace", a.trace, "a line on stderr for every packet");
  command.add_flag("--json", a.json, "results as JSON");
  command.add_flag("-v,--verbose", a.verbose, "more on stderr");
  command.add_flag("-q,--quiet", a.quiet, "only errors on stderr");
}

void add_form_option(CLI::App& command, Arguments& a) {
  command.add_option("--form", a.form, "how the stack is called: event, posix, channel or coroutine (default event)")
      ->type_name("FORM");
}

void add_up(CLI::App& app, Arguments& a) {
  CLI::App* c =
      app.add_subcommand("up", "Bring a stack up: it answers ping until SIGINT, and serves what is asked for");
  CLI::Option* demo = c->add_flag(
      "--demo", a.demo, "show Leat at work in a network namespace of its own: stock curl and ping against it");
  c->add_option("--demo-bytes", a.demo_bytes, "size of the demo's large file")->type_name("SIZE")->needs(demo);
  CLI::Option* http = c->add_option("--http", a.http_root, "serve this folder over HTTP")->type_name("DIR");
  c->add_option("--port", a.port, "port of --http (default 80)")->type_name("N")->needs(http);
  CLI::Option* echo = c->add_flag("--echo", a.echo, "serve echo over TCP and UDP");
  c->add_option("--echo-port", a.echo_port, "port of --echo (default 7)")->type_name("N")->needs(echo);
  add_stack_options(*c, a.stack);
}

void add_http(CLI::App& app, Arguments& a) {
  CLI::App* c = app.add_subcommand("http", "Serve a folder over HTTP/1.1");
  c->add_option("DIR", a.http_root, "the folder")->required();
  c->add_option("--port", a.port, "port (default 80)")->type_name("N");
  add_form_option(*c, a);
  add_stack_options(*c, a.stack);
}

void add_echo(CLI::App& app, Arguments& a) {
  CLI::App* c = app.add_subcommand("echo", "Serve echo over TCP and UDP");
  c->add_option("--port", a.port, "port (default 7)")->type_name("N");
  add_form_option(*c, a);
  add_stack_options(*c, a.stack);
}

void add_nc(CLI::App& app, Arguments& a) {
  CLI::App* c = app.add_subcommand("nc", "Standard input to a connection, and the connection to standard output");
  c->add_option("HOST PORT", a.targets, "where to; with --listen only PORT")->expected(0, 2);
  c->add_flag("-l,--listen", a.listen, "wait for one connection instead of making one");
  c->add_flag("-u,--udp", a.udp, "datagrams instead of a connection");
  c->add_option("--port", a.port, "the port, when it is not given behind the host")->type_name("N");
  c->add_option("-w,--wait", a.wait, "give up when nothing moves for so long")->type_name("TIME");
  add_form_option(*c, a);
  add_stack_options(*c, a.stack);
}

void add_ping(CLI::App& app, Arguments& a) {
  CLI::App* c = app.add_subcommand("ping", "Send echo requests; exit code 1 when no reply came");
  c->add_option("HOST", a.host, "address")->required();
  c->add_option("-c,--count", a.count, "how many (default 4); 0: until SIGINT")->type_name("N");
  c->add_option("-i,--interval", a.interval, "time between two (default 1s)")->type_name("TIME");
  c->add_option("-s,--size", a.payload, "payload bytes (default 56)")->type_name("BYTES");
  c->add_option("-W,--wait", a.wait, "how long to wait for the last reply (default 1s)")->type_name("TIME");
  c->add_option("-t,--ttl", a.ttl, "TTL or hop limit")->type_name("N");
  add_stack_options(*c, a.stack);
}

void add_sim(CLI::App& app, Arguments& a) {
  CLI::App* c = app.add_subcommand("sim", "A transfer between two hosts over a bad link, in virtual time");
  c->add_option("--seed", a.seed, "the run's only source of chance (default 1)")->type_name("N")->check(not_negative);
  c->add_option("--bytes", a.bytes, "how much is sent (default 10M)")->type_name("SIZE");
  c->add_option("--mtu", a.mtu, "largest IP packet (default 1500)")->type_name("BYTES");
  c->add_option("--rtt", a.rtt, "both ways together (default 40ms)")->type_name("TIME");
  c->add_option("--jitter", a.jitter, "random part of the delay, each way")->type_name("TIME");
  c->add_option("--loss", a.loss, "chance that a packet is lost, as 2%")->type_name("RATE");
  c->add_option("--reorder", a.reorder, "chance that later packets overtake it")->type_name("RATE");
  c->add_option("--duplicate", a.duplicate, "chance that a packet comes twice")->type_name("RATE");
  c->add_option("--corrupt", a.corrupt, "chance that a packet is damaged")->type_name("RATE");
  c->add_option("--rate", a.rate, "bits per second of the link")->type_name("SIZE");
  c->add_option("--queue", a.queue, "packets that wait in front of the link")->type_name("N");
  c->add_option("--cc", a.congestion, "congestion control: newreno or cubic")->type_name("NAME");
  c->add_option("--checksums", a.checksum_kernel, "what sums: scalar, avx2 or avx512 (default: the fastest here)")
      ->type_name("KERNEL");
  c->add_option("--pcap", a.pcap, "write a capture (pcapng), the same for the same seed")->type_name("FILE");
  c->add_flag("--json", a.json, "results as JSON");
}

void add_bench(CLI::App& app, Arguments& a) {
  CLI::App* c = app.add_subcommand("bench", "Measure; 'list' names what there is, 'all' runs it");
  c->add_option("NAME", a.bench, "a benchmark, 'list' or 'all'")->required();
  c->add_option("--device", a.bench_device, "memory, tap or shm; the default is all that the benchmark has")
      ->type_name("KIND");
  c->add_option("--mtu", a.bench_mtus, "only this MTU, repeatable")->type_name("BYTES")->allow_extra_args(false);
  c->add_option("--connections", a.bench_connections, "only so many connections, repeatable")
      ->type_name("N")
      ->check(not_negative)
      ->allow_extra_args(false);
  c->add_option("--direction", a.bench_direction, "receive or send, as Leat sees it")->type_name("WAY");
  // As functions: CLI11 takes an optional for a count and sets it to 0 when neither is given.
  CLI::Option* gso = c->add_flag_function(
      "--gso", [&a](std::int64_t) { a.bench_gso = true; }, "only with super-segments");
  c->add_flag_function(
       "--no-gso", [&a](std::int64_t) { a.bench_gso = false; }, "only without super-segments")
      ->excludes(gso);
  c->add_option("--repetitions", a.repetitions, "each figure is the best of so many runs (default 5)")->type_name("N");
  c->add_option("--scale", a.bench_scale, "share of the work in one run, for slow tools like valgrind (default 1)")
      ->type_name("X");
  c->add_flag_function(
      "--no-peers", [&a](std::int64_t) { a.peers = false; }, "leave other stacks out");
  c->add_option("--output", a.output, "write the rows to this file as CSV, too")->type_name("FILE");
  c->add_option("--plot", a.plot, "latency: draw the medians to this .png or .svg with gnuplot")->type_name("FILE");
  c->add_flag("--json", a.json, "results as JSON");
}

void add_others(CLI::App& app, Arguments& a) {
  CLI::App* doctor = app.add_subcommand("doctor", "What works on this machine, and how to make the rest work");
  doctor->add_flag("--json", a.json, "results as JSON");
  CLI::App* version = app.add_subcommand("version", "The version of this command");
  version->add_flag("--json", a.json, "results as JSON");
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv) {
  Parsed parsed;
  Arguments& a = parsed.arguments;
  CLI::App app("Leat, a TCP/IP stack in user space.", "leat");
  app.require_subcommand(1);
  app.set_version_flag("--version", "leat " LEAT_VERSION);
  app.formatter(std::make_shared<HelpText>());
  app.get_formatter()->column_width(32);
  add_up(app, a);
  add_http(app, a);
  add_echo(app, a);
  add_nc(app, a);
  add_ping(app, a);
  add_sim(app, a);
  add_bench(app, a);
  add_others(app, a);
  app.footer(
      "Exit codes: 0 fine; 1 a negative result; 2 usage or any other error. Results go to stdout, all else to stderr.");

  std::vector<std::string_view> names;
  for (CLI::App* c : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(c->get_name());
    for (CLI::Option* o : c->get_options())
      if (o->get_type_name() == "N" || o->get_type_name() == "BYTES") o->transform(without_leading_zeros);
  }
  if (argc == 1) throw Failure("no command", "'leat --help' lists them; 'leat up --demo' shows Leat at work");
  constexpr std::array<std::string_view, 3> kAlone{"-h", "--help", "--version"};
  if (argv[1][0] == '-' && std::find(kAlone.begin(), kAlone.end(), argv[1]) == kAlone.end())
    throw Failure(cat("no option '", argv[1], "' in front of a command"), "'leat --help' lists the commands");
  if (argv[1][0] != '-' && std::find(names.begin(), names.end(), argv[1]) == names.end()) {
    const std::string hint = did_you_mean(argv[1], names);
    throw Failure(cat("no command '", argv[1], "'"), hint.empty() ? "'leat --help' lists them" : hint);
  }
  // What an unset variable of a shell leaves: nobody means it, and it would be taken for "not given".
  for (int i = 2; i < argc; ++i)
    if (*argv[i] == 0)
      throw Failure(cat(argv[i - 1][0] == '-' ? cat(argv[i - 1], ": ") : "", "an empty argument"),
                    "give a value, or leave it out");
  try {
    app.parse(argc, const_cast<char**>(argv));  // NOLINT: CLI11 only reads
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {
      app.exit(e, std::cout, std::cerr);
      parsed.exit = kExitOk;
      return parsed;
    }
    const auto chosen = app.get_subcommands();
    const std::string which = chosen.empty() ? "leat" : cat("leat ", chosen.front()->get_name());
    std::string hint;
    if (dynamic_cast<const CLI::ExtrasError*>(&e) != nullptr && !chosen.empty()) {
      std::vector<std::string> known;
      for (const CLI::Option* o : chosen.front()->get_options())
        for (const std::string& name : o->get_lnames()) known.push_back("--" + name);
      const std::vector<std::string_view> views(known.begin(), known.end());
      for (const std::string& extra : chosen.front()->remaining())
        if (extra.starts_with("--")) hint = did_you_mean(std::string_view(extra).substr(0, extra.find('=')), views);
    }
    throw Failure(in_our_words(e.what()), cat(hint, hint.empty() ? "" : " ", "see '", which, " --help'"));
  }
  a.command = app.get_subcommands().front()->get_name();
  if (a.stack.json) a.json = true;
  if (std::find(a.stack.options.begin(), a.stack.options.end(), "list") != a.stack.options.end()) {
    std::cout << option_list();
    parsed.exit = kExitOk;
  }
  return parsed;
}

}  // namespace leat::tools
