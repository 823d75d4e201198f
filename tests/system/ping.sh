#!/usr/bin/env bash
# Stock ping against Leat loses nothing, the first request included; Leat's ping against the kernel, and against nobody.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

"$LEAT" up --setup -q &
server=$!
for _ in $(seq 100); do [ ! -e /sys/class/net/leat0 ] || break; sleep 0.02; done
for _ in $(seq 100); do ! ip address show dev leat0 2>/dev/null | grep -q fd09::1 || break; sleep 0.05; done
for address in 10.9.0.2 fd09::2; do
  # Without -w ping waits for the last reply two round trips and no longer; with it, it may send more than 20.
  ping -n -c 20 -i 0.05 -w 60 "$address" >"$work/ping" || fail "ping $address: $(cat "$work/ping")"
  for number in $(seq 20); do grep -q "icmp_seq=$number " "$work/ping" || fail "ping $address lost $number: $(cat "$work/ping")"; done
done
kill -INT "$server"
wait "$server" || fail "up ended with $?"

for address in 10.9.0.1 fd09::1; do
  "$LEAT" ping --setup -q -c 5 -i 0.05 "$address" >"$work/ping" || fail "leat ping $address: $(cat "$work/ping")"
  grep -q '5 sent, 5 received, 0 % lost' "$work/ping" || fail "leat ping $address: $(cat "$work/ping")"
done
code=0
"$LEAT" ping --setup -q -c 1 -W 0.2 10.9.0.77 >/dev/null 2>&1 || code=$?
[ "$code" -eq 1 ] || fail "a ping to nobody ended with $code, not 1"
