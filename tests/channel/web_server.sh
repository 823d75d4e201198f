#!/usr/bin/env bash
# Stock curl against the example's web server: a Netstack on a TUN device, a coroutine for each connection.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/../system/lib.sh"

"$SERVER" 2>"$work/server.log" &
server=$!
for _ in $(seq 100); do
  if ip link show leat0 >/dev/null 2>&1; then break; fi
  kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$work/server.log")"
  sleep 0.05
done
ip address add 10.9.0.1/24 dev leat0
ip link set leat0 up
get() { curl -gsS --noproxy '*' --max-time 200 "http://10.9.0.2/"; }
[ "$(get)" = "Hello from a stack in user space." ] || fail "a page"
pids=()
for i in $(seq 30); do
  get >"$work/got-$i" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || fail "one of 30 at once: $?"; done
for i in $(seq 30); do grep -q Hello "$work/got-$i" || fail "page $i of 30"; done
curl -sS --noproxy '*' --max-time 200 http://10.9.0.2:81/ 2>/dev/null && fail "a port that nobody listens on"
kill -0 "$server" || fail "the server ended"
kill "$server"
