// From command lines and configuration files to a plan, and what is wrong with them: every message is one line that
// says where, what, and what to do.

#include "plan.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "cli.hpp"
#include "config_file.hpp"
#include "text.hpp"

namespace leat::tools {
namespace {

// The text of the Failure that `action` throws; "" when it throws none.
template <class Action>
std::string failure(Action&& action) {
  try {
    action();
  } catch (const Failure& f) {
    EXPECT_EQ(std::string_view(f.what()).find('\n'), std::string_view::npos) << "more than one line";
    return f.what();
  }
  return "";
}

Plan config(std::string_view text) {
  Plan plan;
  read_config(text, "test.toml", plan);
  return plan;
}
std::string config_failure(std::string_view text) {
  return failure([&] { config(text); });
}

Parsed parse(std::vector<const char*> words) {
  words.insert(words.begin(), "leat");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}
std::string parse_failure(const std::vector<const char*>& words) {
  return failure([&] { (void)parse(words); });
}

TEST(Plan, WithoutAnythingThereAreDefaults) {
  const Plan plan = make_plan({});
  ASSERT_EQ(plan.interfaces.size(), 1U);
  EXPECT_EQ(plan.interfaces[0].device, (DeviceSpec{"tap", "leat0"}));
  ASSERT_EQ(plan.interfaces[0].addresses.size(), 2U);
  EXPECT_EQ(AddressText(plan.interfaces[0].addresses[0]).view(), kDefaultAddress4);
}

TEST(Plan, TheCommandLineWinsOverTheFirstInterface) {
  StackArguments a;
  a.device = "tun:wire";
  a.addresses = {"192.0.2.1/24"};
  a.gateways = {"192.0.2.254"};
  a.mtu = 9000;
  a.options = {"tcp_sack=off", "tcp_delayed_ack=20ms", "tcp_congestion=newreno"};
  a.impair = "delay=20ms,loss=2%,rate=100M,queue=64";
  const Plan plan = make_plan(a);
  EXPECT_EQ(plan.interfaces[0].device, (DeviceSpec{"tun", "wire"}));
  EXPECT_EQ(plan.interfaces[0].name, "wire");
  EXPECT_EQ(plan.interfaces[0].mtu, 9000U);
  EXPECT_EQ(plan.options[0], std::pair(OptionId::tcp_sack, std::int64_t{0}));
  EXPECT_EQ(plan.options[1], std::pair(OptionId::tcp_delayed_ack, std::int64_t{20000}));
  EXPECT_EQ(plan.options[2], std::pair(OptionId::tcp_congestion, std::int64_t{0}));
  EXPECT_EQ(plan.impairment->delay, Duration::ms(20));
  EXPECT_EQ(plan.impairment->loss_ppm, 20000U);
  EXPECT_EQ(plan.impairment->rate_bps, 100'000'000U);
  EXPECT_EQ(plan.impairment->queue_packets, 64U);
}

TEST(Plan, WrongWordsAreExplained) {
  const auto with = [](auto change) {
    return failure([&] {
      StackArguments a;
      change(a);
      (void)make_plan(a);
    });
  };
  EXPECT_EQ(with([](auto& a) { a.addresses = {"300.1.1.1/24"}; }),
            "--ip: '300.1.1.1/24' is not an address with a prefix length; write it as 10.0.0.2/24 or fd00::2/64");
  EXPECT_EQ(with([](auto& a) { a.addresses = {"10.0.0.2"}; }),
            "--ip: '10.0.0.2' has no prefix length; write 10.0.0.2/24");
  EXPECT_EQ(with([](auto& a) { a.addresses = {"10.0.0.255/24"}; }),
            "--ip: 10.0.0.255 is the broadcast address of its own network; take another one of it");
  EXPECT_NE(with([](auto& a) { a.addresses = {"224.0.0.1/4"}; }).find("can't be an interface's address"),
            std::string::npos);
  EXPECT_EQ(
      with([](auto& a) { a.gateways = {"172.16.0.1"}; }),
      "gateway 172.16.0.1 is in no network of interface leat0; give the interface an address of the gateway's network");
  EXPECT_EQ(with([](auto& a) { a.device = "tpa:x"; }), "--device: unknown device kind 'tpa'; did you mean 'tap'?");
  EXPECT_EQ(
      with([](auto& a) { a.device = "af_packet:eth0"; }),
      "--device: device kind 'af_packet' is not in this version; take tap, tun, memory or shm; 'leat doctor' tells "
      "what works here");
  EXPECT_NE(with([](auto& a) { a.device = "tap:a/b"; }).find("can't be an interface's name"), std::string::npos);
  EXPECT_NE(with([](auto& a) { a.device = "tap:seventeen-letters"; }).find("can't be an interface's name"),
            std::string::npos);
  EXPECT_EQ(with([](auto& a) { a.mac = "01:00:5e:00:00:01"; }),
            "--mac: 01:00:5e:00:00:01 can't be a station's address; take one with an even first byte, such as "
            "02:00:00:00:00:02");
  EXPECT_EQ(with([](auto& a) { a.mtu = 0; }), "MTU 0 is not possible; take one from 68 to 65535");
  EXPECT_EQ(with([](auto& a) { a.mtu = 20; }), "MTU 20 is not possible; take one from 68 to 65535");
  EXPECT_NE(with([](auto& a) {
              a.mtu = 600;
              a.addresses = {"fd00::2/64"};
            }).find("too small for the IPv6 address"),
            std::string::npos);
  EXPECT_EQ(with([](auto& a) { a.options = {"tcp_sak=1"}; }), "unknown option 'tcp_sak'; did you mean 'tcp_sack'?");
  EXPECT_EQ(with([](auto& a) { a.options = {"tcp_sack=maybe"}; }),
            "option tcp_sack: 'maybe' is not a value; write true or false");
  EXPECT_EQ(with([](auto& a) { a.options = {"ip_default_ttl=256"}; }),
            "option ip_default_ttl: 256 is out of range; take 1 to 255");
  EXPECT_EQ(with([](auto& a) { a.options = {"tcp_ecn=1"}; }), "option tcp_ecn: 1 is out of range; take 0");
  EXPECT_EQ(with([](auto& a) { a.impair = "lose=2%"; }), "--impair: unknown impairment 'lose'; did you mean 'loss'?");
  EXPECT_EQ(with([](auto& a) { a.impair = "loss=2"; }), "--impair: 'loss=2' is not understood; write loss=2%");
  EXPECT_EQ(with([](auto& a) { a.gateways = {"10.9.0.255"}; }),
            "gateway 10.9.0.255 is a broadcast address of interface leat0; give the address of the neighbour that "
            "forwards");
  EXPECT_EQ(with([](auto& a) {
              a.addresses = {"10.0.0.2/24", "fd00::2/64", "10.0.0.2/16"};
            }),
            "the address 10.0.0.2 is there twice; give it to one interface, once");
  EXPECT_EQ(with([](auto& a) { a.options = {"ephemeral_last=2000"}; }),
            "option ephemeral_first is larger than ephemeral_last; give both, the smaller port first");
  EXPECT_EQ(with([](auto& a) { a.options = {"ephemeral_last=2000", "ephemeral_first=2000"}; }), "");
  EXPECT_NE(
      with([](auto& a) { a.config = "/nonexistent.toml"; }).find("can't read the configuration file /nonexistent.toml"),
      std::string::npos);
}

TEST(Config, AWholeFile) {
  const Plan plan = config(R"(
[[interface]]
name = "lan"
device = "tap:leat7"
mac = "02:00:00:00:00:07"
mtu = 9000
addresses = ["10.0.0.2/24", "fd00::2/64"]
gateway = ["10.0.0.1", "fd00::1"]

[[interface]]
name = "leat8"
addresses = "10.1.0.2/24"

[[route]]
to = "10.2.0.0/16"
via = "10.1.0.1"
interface = "leat8"
metric = 5
mtu = 1400

[[route]]
to = "10.3.0.0/16"
kind = "reject"

[options]
tcp_sack = false
tcp_delayed_ack = "25ms"
tcp_keep_count = 3
receive_buffer = "64Ki"

[limits]
connections = 100
packet_memory = "16Mi"
)");
  ASSERT_EQ(plan.interfaces.size(), 2U);
  EXPECT_EQ(plan.interfaces[0].device.name, "leat7");
  EXPECT_EQ(plan.interfaces[0].gateways.size(), 2U);
  EXPECT_EQ(plan.interfaces[1].device.name, "leat8") << "without a name of its own the device has the interface's";
  ASSERT_EQ(plan.routes.size(), 2U);
  EXPECT_EQ(plan.routes[0].interface, "leat8");
  EXPECT_EQ(plan.routes[0].config.metric, 5U);
  EXPECT_EQ(plan.routes[1].config.kind, RouteConfig::Kind::reject);
  ASSERT_EQ(plan.options.size(), 4U);
  for (const auto& [id, value] : plan.options) {
    if (id == OptionId::tcp_delayed_ack) {
      EXPECT_EQ(value, 25000);
    }
    if (id == OptionId::receive_buffer) {
      EXPECT_EQ(value, 65536);
    }
  }
  EXPECT_EQ(plan.limits.tcp.connections, 100U);
  EXPECT_EQ(plan.packet_memory, 16U << 20);
}

TEST(Config, MessagesBeginWithFileLineAndColumn) {
  EXPECT_EQ(config_failure("[[interface]]\nadresses = [\"10.0.0.2/24\"]\n"),
            "test.toml:2:1: unknown key 'adresses'; did you mean 'addresses'?");
  EXPECT_EQ(config_failure("[options]\n\n  tcp_sak = true\n"),
            "test.toml:3:3: unknown option 'tcp_sak'; did you mean 'tcp_sack'?");
  EXPECT_EQ(config_failure("[options]\ntcp_sack = 7\n"),
            "test.toml:2:12: option tcp_sack: 7 is out of range; take 0 to 1");
  EXPECT_EQ(config_failure("[[interface]]\naddresses = [\"10.0.0.2/24\",\n  \"10.0.0\"]\n"),
            "test.toml:3:3: addresses: '10.0.0' is not an address with a prefix length; write it as 10.0.0.2/24 or "
            "fd00::2/64");
  EXPECT_EQ(config_failure("[[interface]]\nmtu = \"big\"\n"),
            "test.toml:2:7: 'mtu' is not a whole number; take 68 to 65535");
  EXPECT_EQ(config_failure("[[interface]]\nmtu = 70000\n"),
            "test.toml:2:7: 'mtu' is out of range: 70000; take 68 to 65535");
  EXPECT_EQ(config_failure("[[interface]]\nname = 5\n"), "test.toml:2:8: 'name' is not text; put it in quotes");
  EXPECT_EQ(config_failure("[[interface]]\nname = \"lan\"\n[[route]]\nto = \"10.0.0.0/8\"\ninterface = \"lam\"\n"),
            "test.toml:5:13: unknown interface 'lam'; did you mean 'lan'?");
  EXPECT_NE(config_failure("[[route]]\nvia = \"10.0.0.1\"\n").find("test.toml:1:"), std::string::npos);
  EXPECT_NE(config_failure("[[interface]]\nname = \"a\n").find("test.toml:2:"), std::string::npos);
  EXPECT_NE(config_failure("[[interface]\n").find("test.toml:1:"), std::string::npos);
  EXPECT_NE(config_failure("[[interface]]\nname=\"a\"\n[[interface]]\nname=\"a\"\n").find("a second interface 'a'"),
            std::string::npos);
  EXPECT_NE(config_failure("interface = 3\n").find("test.toml:1:13: 'interface' is not a table"), std::string::npos);
}

// Each refusal of a value, at both ends of its range where it has one.
TEST(Config, WhatIsNoValueIsRefusedWhereItStands) {
  const auto refused = [](std::string_view text, std::string_view begin) {
    const std::string failure = config_failure(text);
    EXPECT_TRUE(failure.starts_with(begin)) << text << ": " << failure;
  };
  refused("name = 1\n", "test.toml:1:1: unknown key 'name'; the file may have: interface route options limits pcap");
  refused("interface = [{}, 3]\n", "test.toml:1:13: 'interface' is not a table; write [[interface]]");
  refused("route = 3\n", "test.toml:1:9: 'route' is not a table; write [[route]]");
  refused("options = 3\n", "test.toml:1:11: 'options' is not a table; write [options]");
  refused("limits = 3\n", "test.toml:1:10: 'limits' is not a table; write [limits]");
  refused("pcap = 3\n", "test.toml:1:8: 'pcap' is not text; put it in quotes");
  refused("pcap = \"\"\n", "test.toml:1:8: 'pcap' is empty; give a value, or leave it out");
  refused("impair = \"lose=1%\"\n", "test.toml:1:10: impair: unknown impairment 'lose'");
  refused("[[interface]]\ndevice = \"tpa\"\n", "test.toml:2:10: device: unknown device kind 'tpa'");
  refused("[[interface]]\nname = \"a/b\"\n", "test.toml:2:8: name: 'a/b' can't be an interface's name");
  refused("[[interface]]\nmac = \"02:00\"\n", "test.toml:2:7: mac: '02:00' is not a MAC address");
  refused("[[interface]]\nmtu = 67\n", "test.toml:2:7: 'mtu' is out of range: 67; take 68 to 65535");
  refused("[[interface]]\naddresses = 3\n", "test.toml:2:13: 'addresses' is not text");
  refused("[[interface]]\naddresses = [\"10.0.0.2/24\", 3]\n", "test.toml:2:29: 'addresses' is not text");
  refused("[[interface]]\ngateway = \"x\"\n", "test.toml:2:11: gateway: 'x' is not an IP address");
  refused("[[interface]]\nname = \"a\"\n[[interface]]\nname = \"a\"\n", "test.toml:4:8: a second interface 'a'");
  refused("[[interface]]\n[[interface]]\n", "test.toml:2:1: a second interface 'leat0'");
  const auto route = [&](std::string_view lines, std::string_view begin) { refused(cat("[[route]]\n", lines), begin); };
  route("to = \"10.0.0\"\n", "test.toml:2:6: to: '10.0.0' is not an address with a prefix length");
  route("via = \"10.0.0.1\"\n", "test.toml:1:1: a route without 'to'; ");
  route("to = \"10.0.0.0/8\"\n", "test.toml:1:1: a route without 'via' and 'interface'; ");
  route("to = \"10.0.0.0/8\"\nvia = \"10.0.0.1\"\nkind = \"reject\"\n",
        "test.toml:3:7: only a unicast route has a gateway; ");
  route("to = \"fd00::/8\"\nvia = \"fd00::1\"\nmtu = 1279\n",
        "test.toml:4:7: MTU 1279 is too small for a route of IPv6; ");
  route("to = \"default\"\nvia = \"10.0\"\n", "test.toml:3:7: via: '10.0' is not an IP address");
  for (const char* none : {"0.0.0.0", "::", "224.0.0.1", "ff02::1", "127.0.0.1", "::1"})
    route(cat("to = \"default\"\nvia = \"", none, "\"\n"), cat("test.toml:3:7: via: ", none, " can't be a gateway; "));
  const std::string_view other = "test.toml:3:7: a gateway of another IP version than the route to ";
  route("to = \"10.0.0.0/8\"\nvia = \"fd00::1\"\n", cat(other, "10.0.0.0/8; take one of the same"));
  route("to = \"fd00::/8\"\nvia = \"10.0.0.1\"\n", cat(other, "fd00::/8; take one of the same"));
  route("to = \"default\"\nmetric = -1\n", "test.toml:3:10: 'metric' is out of range: -1; take 0 to 4294967295");
  route("to = \"default\"\nmetric = 4294967296\n", "test.toml:3:10: 'metric' is out of range: 4294967296");
  route("to = \"default\"\nmtu = 67\n", "test.toml:3:7: 'mtu' is out of range: 67");
  route("to = \"default\"\nmtu = 65536\n", "test.toml:3:7: 'mtu' is out of range: 65536");
  route("to = \"default\"\nkind = \"anycast\"\n", "test.toml:3:8: unknown kind of route 'anycast'; take unicast, ");
  route("to = \"default\"\ninterface = \"x\"\n", "test.toml:3:13: unknown interface 'x'; name one of the file's ");
  refused("route = { to = \"default\", interface = \"x\" }\n", "test.toml:1:9: unknown interface 'x'; ");
  refused("[options]\nxyzzy = 1\n", "test.toml:2:1: unknown option 'xyzzy'; '--option list' names them");
  refused("[options]\ntcp_sack = 1.5\n", "test.toml:2:12: 'tcp_sack' is no whole number, yes or no, or text; ");
  refused("[options]\ntcp_sack = [1]\n", "test.toml:2:12: 'tcp_sack' is no whole number, yes or no, or text; ");
  refused("[options]\nreceive_buffer = \"x\"\n", "test.toml:2:18: option receive_buffer: 'x' is not a value; ");
  refused("[limits]\nsockets = 1\n", "test.toml:2:1: unknown key 'sockets'; limits may have: connections");
  refused("[limits]\nconnections = 0\n", "test.toml:2:15: 'connections' is out of range: 0; take 1 to 8000000");
  refused("[limits]\nconnections = 8000001\n", "test.toml:2:15: 'connections' is out of range: 8000001");
  refused("[limits]\nconnections = \"many\"\n", "test.toml:2:15: 'connections' is not a whole number");
  const std::string_view memory = "test.toml:2:17: packet_memory is not possible; take a size from 1Mi to 1024Gi";
  for (const char* size : {"1048575", "-1", "\"x\"", "\"1023Ki\"", "\"1025Gi\""})
    refused(cat("[limits]\npacket_memory = ", size, "\n"), memory);
  refused("[limits]\npacket_memory = true\n", "test.toml:2:17: 'packet_memory' is not text");
  for (const char* size : {"1048576", "\"1Mi\"", "\"1024Gi\"", "\"1T\""})
    EXPECT_EQ(config_failure(cat("[limits]\npacket_memory = ", size, "\n")), "");
}

TEST(Config, AFileThatCannotBeReadIsNoEmptyFile) {
  Plan plan;
  const auto of = [&](const char* path) { return failure([&] { read_config_file(path, plan); }); };
  EXPECT_EQ(of("/nonexistent"),
            "can't read the configuration file /nonexistent: No such file or directory; give --config a file that is "
            "there");
  EXPECT_EQ(of("/"), "can't read the configuration file /: not a file; give --config a file");
  EXPECT_EQ(of("/dev/zero"), "can't read the configuration file /dev/zero: not a file; give --config a file");
  const std::string below = "; check its rights and that it is below 1 MiB";
  EXPECT_EQ(of("/proc/self/mem"), "can't read the configuration file /proc/self/mem" + below);  // EIO
  const std::string large = testing::TempDir() + cat("leat_large_", ::getpid(), ".toml");
  for (const std::size_t size : {(std::size_t{1} << 20) + 1, std::size_t{1} << 20, std::size_t{0}}) {
    std::ofstream(large, std::ios::binary) << std::string(size, '\n');
    EXPECT_EQ(of(large.c_str()), size > (1U << 20) ? cat("can't read the configuration file ", large, below) : "");
  }
  std::remove(large.c_str());
}

// toml++ asserts some of this before it looks: it must be a message all the same, with the place.
TEST(Config, MalformedFilesAreMessagesNotTheEndOfTheProcess) {
  const std::string said = "expected bare key starting character or string delimiter, saw '='";
  EXPECT_TRUE(config_failure("[=]").starts_with("test.toml:1:2: ")) << config_failure("[=]");
  EXPECT_NE(config_failure("[=]").find(said), std::string::npos) << config_failure("[=]");
  EXPECT_TRUE(config_failure("pcap = \"a\"\n[[=]]").starts_with("test.toml:2:3: "));
  const std::vector<std::string> heads{"",    "[",     "[[",   "[a.", "[a.b]\n", "a.", "a=",      "a=[",
                                       "a={", "a={b.", "a=\"", "a='", "\"a",     "'a", "a=\"\"\""};
  for (const std::string& head : heads) {
    for (int byte = 0; byte < 256; ++byte) {
      for (const char* tail : {"", "\n", "]", "=1\n", "\"=1", "..", " ", "}"}) {
        const std::string text = head + static_cast<char>(byte) + tail;
        const std::string failure = config_failure(text);
        EXPECT_TRUE(failure.empty() || failure.starts_with("test.toml:")) << text << ": " << failure;
      }
    }
  }
  EXPECT_EQ(config_failure("\"a\\nb\" = 1\n").substr(0, 34), "test.toml:1:1: unknown key 'a?b'; ");
}

// toml++ calls a letter of another alphabet impossible where it asks whether it is a blank.
TEST(Config, OtherThanAsciiOutsideOfTextIsAMessage) {
  for (const char* letter : {"\u00e9", "\u2f00", "\ufeef", "\U0001f600"}) {
    for (const char* around : {"?", "pcap = ?", "pcap = 2?", "pcap = \"a\" ?", "[?]", "a.? = 1", "[a]?", "a = [?]"}) {
      std::string text = around;
      text.replace(text.find('?'), 1, letter);
      const std::string failure = config_failure("\n" + text + "\n");
      EXPECT_TRUE(failure.starts_with("test.toml:2:")) << text << ": " << failure;
    }
    EXPECT_EQ(config(cat("\xef\xbb\xbf# ", letter, "\npcap = '", letter, "'\n")).pcap, letter);
    EXPECT_EQ(config(cat("pcap = \"\"\"a\\\n  ", letter, "\"\"\"\n")).pcap, cat("a", letter));
  }
}

// Half a million tables in each other would be more than the stack can walk.
TEST(Config, KeysOfManyPartsAndDeepValuesAreRefused) {
  const auto many = [](std::string_view piece, std::size_t times) {
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += piece;
    return text;
  };
  const std::string refused = ": a key of more than 32 parts; mend it there; docs/cli.md and leat(1) have an example";
  EXPECT_EQ(config_failure(many("a.", 500'000) + "a = 1\n"), "test.toml:1:64" + refused);
  EXPECT_EQ(config_failure("\n\n[" + many("a . ", 100'000) + "a]\n"), "test.toml:3:128" + refused);
  EXPECT_EQ(config_failure("x = { " + many("a.", 32) + "a = 1 }\n"), "test.toml:1:70" + refused);
  EXPECT_EQ(config_failure(many("a.", 31) + "a = 1\n").substr(0, 29), "test.toml:1:1: unknown key 'a");
  for (const char* text : {"'''", "\"\"\""}) {  // a quote more at the end of a text hides nothing
    const std::string hidden = cat("x = [", text, "a", text, text[0], ", {", many("a.", 40), "a = 1}]\n");
    EXPECT_NE(config_failure(hidden).find(refused), std::string::npos) << hidden;
  }
  EXPECT_NE(config_failure("a = " + many("[", 500'000)).find("test.toml:1:"), std::string::npos);
  EXPECT_NE(config_failure("a = " + many("{a=", 300'000)).find("test.toml:1:"), std::string::npos);
  // Dots of texts and comments are no parts of a key.
  const std::string dots = many(".", 100);
  EXPECT_EQ(config("# " + dots + "\npcap = \"a\\\"" + dots + "\"\n").pcap, "a\"" + dots);
  EXPECT_EQ(config("pcap = '" + dots + "'\n").pcap, dots);
  EXPECT_EQ(config("pcap = '''\n'" + dots + "'''\n").pcap, "'" + dots);
}

TEST(CommandLine, AMessageIsOneLineWhateverWasTyped) {
  EXPECT_EQ(parse_failure({"pi\nng"}).find('\n'), std::string::npos);
  EXPECT_TRUE(
      failure([] { (void)parse_device("t\x1b[31m\na"); }).starts_with("--device: unknown device kind 't?[31m?a'"));
}

TEST(CommandLine, IsUnderstood) {
  const Parsed p = parse({"ping", "--ip", "10.0.0.2/24", "--ip", "fd00::2/64", "-c", "3", "10.0.0.1", "--json"});
  EXPECT_FALSE(p.exit);
  EXPECT_EQ(p.arguments.command, "ping");
  EXPECT_EQ(p.arguments.host, "10.0.0.1");
  EXPECT_EQ(p.arguments.count, 3U);
  EXPECT_EQ(p.arguments.stack.addresses.size(), 2U);
  EXPECT_TRUE(p.arguments.json);
  EXPECT_EQ(parse({"nc", "-l", "-u", "77"}).arguments.targets, std::vector<std::string>{"77"});
  EXPECT_EQ(parse({"bench", "bulk", "--no-gso", "--no-peers"}).arguments.bench_gso, std::optional{false});
  EXPECT_EQ(parse({"bench", "bulk", "--gso"}).arguments.bench_gso, std::optional{true});
  EXPECT_EQ(parse({"bench", "bulk"}).arguments.bench_gso, std::nullopt) << "both are to be measured";
}

TEST(CommandLine, ANumberWithLeadingZerosIsDecimal) {
  EXPECT_EQ(parse({"sim", "--seed", "010"}).arguments.seed, 10U);
  EXPECT_EQ(parse({"sim", "--seed=00"}).arguments.seed, 0U);
  EXPECT_EQ(parse({"ping", "-c", "0100", "10.0.0.1"}).arguments.count, 100U);
  EXPECT_EQ(parse({"echo", "--port", "0080"}).arguments.port, std::optional<std::uint32_t>{80});
  EXPECT_EQ(parse({"echo", "--mtu", "01500"}).arguments.stack.mtu, std::optional<std::uint32_t>{1500});
  EXPECT_EQ(parse({"http", "007"}).arguments.http_root, "007") << "a folder";
}

TEST(CommandLine, MistakesAreExplainedInOneLine) {
  EXPECT_EQ(parse_failure({"pign", "10.0.0.1"}), "no command 'pign'; did you mean 'ping'?");
  EXPECT_NE(parse_failure({"ping", "10.0.0.1", "--cuont=3"}).find("did you mean '--count'? see 'leat ping --help'"),
            std::string::npos);
  EXPECT_NE(parse_failure({"ping"}).find("see 'leat ping --help'"), std::string::npos);
  EXPECT_NE(parse_failure({"ping", "10.0.0.1", "-c", "three"}).find("see 'leat ping --help'"), std::string::npos);
  EXPECT_NE(parse_failure({}).find("'leat --help'"), std::string::npos);
}

}  // namespace
}  // namespace leat::tools
