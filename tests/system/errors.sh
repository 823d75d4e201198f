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
expect "no kernel 'sse'; take scalar" "$LEAT" sim --checksums sse
expect "can't write the capture" "$LEAT" up --pcap /nonexistent/x
printf '[[interface]\n' >"$work/broken.toml"
expect "broken.toml:1:[0-9]+: .*; mend it" "$LEAT" up --config "$work/broken.toml"
# Where it stands in the file, also for what the stack alone finds out; the place once.
config() { printf '%b' "$1" >"$work/at.toml"; }
lan='[[interface]]\nname = "lan"\ndevice = "memory"\naddresses = ["10.0.0.2/24"]\n'
config "$lan"'[[route]]\nto = "10.1.0.0/16"\n'
expect "at.toml:5:1: a route without 'via' and 'interface'; " "$LEAT" nc 10.0.0.1 7 --config "$work/at.toml"
config "$lan"'[[route]]\nto = "default"\nvia = "99.9.0.1"\n'
expect "at.toml:7:7: can't add the route to default: [^.]*; " "$LEAT" nc 10.0.0.1 7 --config "$work/at.toml"
config "$lan"'[[interface]]\nname = "b"\ndevice = "shm"\naddresses = ["10.0.0.2/24"]\n'
expect "at.toml:8:14: the address 10.0.0.2 is there twice; " "$LEAT" nc 10.0.0.1 7 --config "$work/at.toml"
config '[[interface]]\nname = "lan"\ngateway = ["10.9.0.1", "10.9.0.3"]\naddresses = ["10.9.0.2/24"]\n'
expect "at.toml:3:24: a second gateway of one IP version" "$LEAT" nc 10.9.0.1 7 --config "$work/at.toml"
config '[=]\n'
expect "^leat: [^ ]*at.toml:1:2: [^.]* saw '='; mend it" "$LEAT" up --config "$work/at.toml"
config '[options]\nreceive_buffer = 3.5\n'
expect "^leat: [^ ]*at.toml:2:18: 'receive_buffer' is no whole number, yes or no, or text; " "$LEAT" up --config "$work/at.toml"
config '[[interface]]\nname = "a/b"\n'
expect "at.toml:2:8: name: 'a/b' can't be" "$LEAT" up --config "$work/at.toml"
expect "gateway 10.9.0.2 is an own address of interface leat0; " "$LEAT" ping 10.9.0.1 --device memory --gateway 10.9.0.2
expect "a second gateway of one IP version: 10.9.0.3; " "$LEAT" ping 10.9.0.1 --device memory --gateway 10.9.0.1 --gateway 10.9.0.3
expect "10.9.0.0 is the address of its network; " "$LEAT" ping 10.9.0.1 --device memory --ip 10.9.0.0/24
expect "a tun has no Ethernet address; " "$LEAT" up --device tun --mac 02:00:00:00:00:02
config 'impair = " "\n'
expect "at.toml:1:10: impair: no impairment; " "$LEAT" up --config "$work/at.toml"
expect "unknown device kind 'xyz'; take tap, tun, memory or shm" "$LEAT" up --device xyz
expect "option tcp_congestion: 'bbr' is not a value; take newreno or cubic" "$LEAT" up --option tcp_congestion=bbr
expect "port: 0 is not a port; " "$LEAT" echo --port 0
expect "two ports: 7 and --port 8; " "$LEAT" nc 10.9.0.1 7 --port 8
expect "two ports: 80 and --port 81; " "$LEAT" nc -l 80 --port 81
expect "ttl is out of range; " "$LEAT" ping 10.9.0.1 -t 0
expect "can't ping 224.0.0.1: it is no address of one host; " "$LEAT" ping 224.0.0.1 --device memory --json
expect "can't send 1481 bytes of ICMP: [^.]*; take a smaller --size" "$LEAT" ping 10.9.0.1 -s 1473 --device memory --json
expect "can't ping 8.8.8.8: No route leads to the destination; " "$LEAT" ping 8.8.8.8 --device memory
for way in event posix channel coroutine; do
  expect "no connection to 8.8.8.8:7: No route leads to the destination; " "$LEAT" nc 8.8.8.8 7 --device memory --form $way
  expect "no connection to 8.8.8.8:7: No route leads to the destination; " "$LEAT" nc -u 8.8.8.8 7 --device memory --form $way
done
for way in event posix channel coroutine; do
  expect "can't send to 10.9.0.255:7: it is a broadcast address; say --option broadcast=yes" "$LEAT" nc -u 10.9.0.255 7 --device memory --form $way
done
for no_host in 0.0.0.0 :: 224.0.0.1 ff02::1 255.255.255.255; do
  expect "no connection to $no_host: it is no address of one host; " "$LEAT" nc $no_host 7 --device memory
done
expect "'leat echo' over a memory device would have no clients; " "$LEAT" echo --device memory
expect "seed: '18446744073709551616' is not a number in range; " "$LEAT" sim --seed 18446744073709551616
expect "the capture /dev/full can't be written; " "$LEAT" sim --pcap /dev/full --bytes 1M
expect "can.t write /nonexistent/x.csv: .*; " "$LEAT" bench bulk --output /nonexistent/x.csv
expect "gso excludes" "$LEAT" bench bulk --gso --no-gso
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
expect "mtu: demux has no such choice; leave it out" "$LEAT" bench demux --mtu 1500
expect "device: echo does not run over 'tap'; it has memory" "$LEAT" bench echo --device tap
expect "device: no benchmark over 'pigeon'; " "$LEAT" bench bulk --device pigeon
expect "direction: 'up' is no direction; " "$LEAT" bench bulk --direction up
expect "repetitions is out of range; " "$LEAT" bench demux --repetitions 0
expect "scale is out of range; " "$LEAT" bench demux --scale 0
expect "form: 'fiber' is no form; " "$LEAT" echo --form fiber
expect "MTU 67 is not possible; " "$LEAT" sim --mtu 67
expect "cc: no congestion control 'bbr'; " "$LEAT" sim --cc bbr
expect "can't write the capture /nonexistent/x; " "$LEAT" sim --bytes 1k --pcap /nonexistent/x
config 'options = 3\n'
expect "at.toml:1:[0-9]+: 'options' is not a table; write \[options\]" "$LEAT" up --config "$work/at.toml"
config 'limits = 3\n'
expect "at.toml:1:[0-9]+: 'limits' is not a table; write \[limits\]" "$LEAT" up --config "$work/at.toml"
config '[limits]\npacket_memory = "1"\n'
expect "at.toml:2:[0-9]+: packet_memory is not possible; " "$LEAT" up --config "$work/at.toml"
config "$lan"'[[route]]\nto = "10.1.0.0/16"\nkind = "anycast"\n'
expect "at.toml:7:[0-9]+: unknown kind of route 'anycast'; " "$LEAT" up --config "$work/at.toml"
config '[limits]\npacket_memory = "1025Gi"\n'
expect "at.toml:2:[0-9]+: packet_memory is not possible; take a size from 1Mi to 1024Gi" "$LEAT" up --config "$work/at.toml"
config "$lan"'[[route]]\nto = "10.1.0.0/16"\nvia = "10.0.0.1"\n[[route]]\nto = "10.1.0.0/16"\nvia = "10.0.0.1"\n'
expect "at.toml:10:7: can't add the route to 10.1.0.0/16: There is such an entry already; leave one of the two out" "$LEAT" nc 10.0.0.1 7 --config "$work/at.toml"
config "$lan"'[[route]]\nto = "10.1.0.0/16"\nvia = "10.0.0.2"\n'
expect "at.toml:7:7: gateway 10.0.0.2 is an own address of interface lan; " "$LEAT" nc 10.0.0.1 7 --config "$work/at.toml"
expect "the address 10.9.0.2 is there twice; " "$LEAT" nc 10.9.0.1 7 --device memory --ip 10.9.0.2/24 --ip 10.9.0.2/16
expect "option ephemeral_first is larger than ephemeral_last; " "$LEAT" up --option ephemeral_first=60000 --option ephemeral_last=50000
expect "can't read the configuration file /proc/self/mem; " "$LEAT" up --config /proc/self/mem
# Two addresses of one network have one other side, which is neither of them; two interfaces have one echo.
"$LEAT" ping 10.9.0.3 --device memory --ip 10.9.0.1/24 --ip 10.9.0.2/24 -c 1 >/dev/null || fail "two addresses of one network"
two='[[interface]]\nname = "a"\ndevice = "memory"\naddresses = ["10.7.0.2/24"]\n[[interface]]\nname = "b"\ndevice = "memory"\naddresses = ["10.8.0.2/24"]\n'
config "$two"
for to in 10.7.0.1 10.8.0.1; do
  for way in event posix; do
    [ "$(echo hello | "$LEAT" nc $to 7 --config "$work/at.toml" --form $way)" = hello ] || fail "no echo from $to, $way"
  done
done
expect "mac: '02:00' is not a MAC address; " "$LEAT" up --mac 02:00
expect "impair: 'delay=5' is not understood; " "$LEAT" up --impair delay=5
expect "impair: 'rate=fast' is not understood; " "$LEAT" up --impair rate=fast
expect "impair: 'queue=-1' is not understood; " "$LEAT" up --impair queue=-1
expect "option: 'tcp_sack' has no value; " "$LEAT" up --option tcp_sack
expect "interval: '-1s' is not a time; " "$LEAT" ping 10.9.0.1 -i -1s
expect "size: 70000 bytes don't fit a packet; " "$LEAT" ping 10.9.0.1 -s 70000
expect "can't ping 10.9.0.255: it is a broadcast address; " "$LEAT" ping 10.9.0.255 --device memory --json
expect "no address to connect to; " "$LEAT" nc
expect "no port; leat nc HOST PORT" "$LEAT" nc 10.9.0.1
expect "no port; leat nc -l PORT" "$LEAT" nc -l
expect "'seven' is not a port; " "$LEAT" nc 10.9.0.1 seven
expect "too much behind the port: '81'; " "$LEAT" nc -l 80 81
expect "wait: 'long' is not a time; " "$LEAT" nc 10.9.0.1 7 --wait long
expect "MTU 0 is not possible; " "$LEAT" up --mtu 0
# What an unset variable of a shell leaves.
expect "^leat: --port: an empty argument; " "$LEAT" echo --port ""
expect "^leat: --config: an empty argument; " "$LEAT" up --config "" -q
expect "^leat: an empty argument; " "$LEAT" http ""
# What is quoted is not repeated for pages.
long=$(head -c 100000 /dev/zero | tr '\0' a)
expect "expected: a+ \.\.\. .*; see 'leat up --help'" "$LEAT" up "$long"
[ "$(wc -c <"$work/error")" -lt 1100 ] || fail "the whole of a long word: $(wc -c <"$work/error") bytes"
expect "loss: '200%' is not understood; " "$LEAT" sim --loss 200%
expect "HOST: 'localhost' is not an IP address; names are not looked up" "$LEAT" ping localhost
[ "$("$LEAT" up --option list | wc -l)" -gt 50 ] || fail "--option list says: $("$LEAT" up --option list)"
[ "$("$LEAT" --version)" = "$("$LEAT" version)" ] || fail "--version is not version"
code=0
"$LEAT" version >/dev/full 2>"$work/error" || code=$?
[ "$code" -eq 2 ] || fail "a full disk ends with $code"
[ "$(wc -l <"$work/error")" -eq 1 ] || fail "a full disk: $(cat "$work/error")"
code=0
"$LEAT" version >&- 2>"$work/error" || code=$?
[ "$code" -eq 2 ] || fail "a closed standard output ends with $code"
# An input that can't be read is not an input that ended.
for way in event posix channel coroutine; do
  code=0
  timeout 20 "$LEAT" nc 10.9.0.1 7 --device memory --form $way <"$work" >"$work/out" 2>"$work/error" || code=$?
  [ "$code" -eq 2 ] || fail "nc --form $way with a folder as input ends with $code"
  grep -q "^leat: can't read standard input: Is a directory; " "$work/error" || fail "nc --form $way: $(cat "$work/error")"
done
# Nobody reads any more: the command ends, as others do by SIGPIPE.
code=0
{ timeout 20 "$LEAT" ping 10.9.0.1 --device memory -i 10ms -c 0 2>"$work/error" || code=$?; echo "$code" >"$work/code"; } | head -n 1 >/dev/null
[ "$(cat "$work/code")" -eq 2 ] || fail "ping without a reader ends with $(cat "$work/code")"
# A closed descriptor's number is no device's and no capture's: a shell's read meets the end, not a device.
for way in event posix channel coroutine; do
  code=0
  timeout 20 "$LEAT" nc 10.9.0.1 7 --device memory --form $way <&- || code=$?
  [ "$code" -eq 0 ] || fail "nc --form $way with a closed standard input ends with $code"
done

# What the kernel's side needs is said as commands that can be pasted.
"$LEAT" up --device tap:show0 --ip 10.9.0.2/24 2>"$work/error" &
server=$!
for _ in $(seq 200); do ! grep -q 'ip ' "$work/error" || break; sleep 0.02; done
kill -INT "$server"
wait "$server" || fail "up ended with $?: $(cat "$work/error")"
grep -qE '^ +ip address add 10\.9\.0\.1/24 dev show0' "$work/error" || fail "no command for the kernel's side: $(cat "$work/error")"

# A simulation that fails says with which seed.
code=0
"$LEAT" sim --bytes 1M --loss 100% --seed 7 >"$work/out" 2>"$work/error" || code=$?
[ "$code" -eq 1 ] || fail "a simulation without a line ended with $code"
cat "$work/out" "$work/error" | grep -q 'seed 7' || fail "which seed was it: $(cat "$work/out" "$work/error")"

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
  chmod 0 "$work/at.toml"
  rights=-dac_override,-dac_read_search
  expect "can't read the configuration file [^ ]*at.toml; check its rights" setpriv --bounding-set $rights --inh-caps $rights "$LEAT" up --config "$work/at.toml"
fi
unshare --mount true 2>/dev/null || skip "no mount namespace: the test without a TUN node was left out"
# shellcheck disable=SC2016
expect "can't open tap leat0: .*;" unshare --mount sh -c 'mount -t tmpfs none /dev/net && exec "$0" up' "$LEAT"
