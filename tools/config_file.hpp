#pragma once
// The configuration file (TOML): interfaces, routes, options, limits. docs/cli.md describes it.
//
//   [[interface]]
//   name = "leat0"                              # also the TAP's, unless `device` names another
//   device = "tap"
//   addresses = ["10.9.0.2/24", "fd09::2/64"]
//   gateway = "10.9.0.1"
//
//   [[route]]
//   to = "10.1.0.0/16"
//   via = "10.9.0.7"
//
//   [options]
//   tcp_congestion = "newreno"
//   tcp_delayed_ack = "20ms"
//
// Whatever is wrong with it is a Failure that begins with file:line:column; an unknown key is wrong.

#include <string>

#include "plan.hpp"

namespace leat::tools {

void read_config_file(const std::string& path, Plan& plan);
// The same from text; `path` is for messages.
void read_config(std::string_view text, const std::string& path, Plan& plan);

}  // namespace leat::tools
