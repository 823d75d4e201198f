#!/usr/bin/env bash
# Whatever is wrong: one line of cause and fix on stderr, nothing on stdout, exit code 2.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# expect PATTERN COMMAND...
expect() {
  local pattern=$1 code=0
  shift
  "$@" >"$work/out" 2>"$work/error" </dev/null || code=$?
  [ "$code" -eq 2 ] || fail "'$*' ended with $code, not 2: $(cat "$work/error")"
  [ "$(wc -l <"$work/error")" -eq 1 ] || fail "'$*' says more than a line: $(cat "$work/error")"
  [ ! -s "$work/out" ] || fail "'$*' writes to stdout: $(cat "$work/out")"
  grep -qE "$pattern" "$work/error" || fail "'$*' says: $(cat "$work/error")"
}

expect "tap lo: .*;" "$LEAT" up --device tap:lo
expect "can't be an interface's name; " "$LEAT" up --device tap:a/b
expect "unknown device kind 'tpa'; did you mean 'tap'" "$LEAT" up --device tpa
expect "'af_packet' is not in this version; " "$LEAT" up --device af_packet:lo
expect "300.1.1.1/24' is not an address" "$LEAT" up --ip 300.1.1.1/24
expect "port 80 is already in use on this stack; " "$LEAT" up --echo --echo-port 80 --http "$work"
expect "70000 is not a port; " "$LEAT" echo --port 70000
expect "can't serve /nonexistent" "$LEAT" http /nonexistent
printf '[[interface]]\nadresses = ["10.0.0.2/24"]\n' >"$work/bad.toml"
expect "bad.toml:2:1: unknown key 'adresses'; did you mean 'addresses'" "$LEAT" up --config "$work/bad.toml"
printf '[[interface]]\nname = "lan"\n[[route]]\nto = "10.0.0.0/8"\ninterface = "wan"\n' >"$work/route.toml"
expect "route.toml:5:13: unknown interface 'wan'" "$LEAT" up --config "$work/route.toml"
expect "can't write the capture" "$LEAT" up --pcap /nonexistent/x
printf '[[interface]\n' >"$work/broken.toml"
expect "broken.toml:1:[0-9]+: .*; mend it" "$LEAT" up --config "$work/broken.toml"
expect "no command; " "$LEAT"
expect "no option '--nonsense' in front of a command; " "$LEAT" --nonsense up
expect "no command 'htp'; did you mean 'http'" "$LEAT" htp
expect "not expected: --jsn; did you mean '--json'" "$LEAT" up --jsn
expect "mtu: 'abc' is not a number in range; " "$LEAT" up --mtu abc
expect "mtu: '-5' is not a number in range; " "$LEAT" up --mtu -5
expect "seed: '-1' is not a number from 0; " "$LEAT" sim --seed -1
expect "^leat: --port requires --http; " "$LEAT" up --port 81
expect "unknown option 'xyzzy'; '--option list' names them" "$LEAT" up --option xyzzy=1
expect "option tcp_sack: 'maybe' is not a value; " "$LEAT" up --option tcp_sack=maybe
expect "DIR is required; " "$LEAT" http
expect "no benchmark 'bulkk'; did you mean" "$LEAT" bench bulkk
expect "connections: no benchmark with 0; " "$LEAT" bench demux --connections 0
expect "mtu: no benchmark with 3; " "$LEAT" bench bulk --mtu 3
expect "loss: '200%' is not understood; " "$LEAT" sim --loss 200%
expect "HOST: 'localhost' is not an IP address; names are not looked up" "$LEAT" ping localhost
[ "$("$LEAT" up --option list | wc -l)" -gt 50 ] || fail "--option list says: $("$LEAT" up --option list)"
[ "$("$LEAT" --version)" = "$("$LEAT" version)" ] || fail "--version is not version"
code=0
"$LEAT" version >/dev/full 2>"$work/error" || code=$?
[ "$code" -eq 2 ] || fail "a full disk ends with $code"
[ "$(wc -l <"$work/error")" -eq 1 ] || fail "a full disk: $(cat "$work/error")"

# A TAP that another program has open.
"$LEAT" up -q --device tap:busy0 2>/dev/null &
server=$!
for _ in $(seq 100); do [ ! -e /sys/class/net/busy0 ] || break; sleep 0.02; done
expect "can't open tap busy0: .*;" "$LEAT" up --device tap:busy0
kill -INT "$server"
wait "$server" || true

# No right to make interfaces, and no TUN node.
if command -v setpriv >/dev/null; then
  expect "can't open tap leat0: .*;" setpriv --bounding-set -net_admin --inh-caps -net_admin "$LEAT" up
fi
unshare --mount true 2>/dev/null || skip "no mount namespace: the test without a TUN node was left out"
# shellcheck disable=SC2016
expect "can't open tap leat0: .*;" unshare --mount sh -c 'mount -t tmpfs none /dev/net && exec "$0" up' "$LEAT"
