#!/usr/bin/env bash
# 12,000 connections at once to `leat http`, a request on each; then the server serves the next one as if nothing had been.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

count=12000
ulimit -n "$(ulimit -Hn)"
[ "$(ulimit -n)" -gt $((count + 200)) ] || skip "this user may have $(ulimit -n) descriptors only"
mkdir "$work/site"
echo hello >"$work/site/hello"
echo 1024 65000 >/proc/sys/net/ipv4/ip_local_port_range
serve http "$work/site" "${form[@]}"
"$LEAT_MANY_CLIENTS" 10.9.0.2 80 $count || fail "not all of $count connections were served"
[ "$(curl -gsS --noproxy '*' --max-time 60 http://10.9.0.2/hello)" = hello ] || fail "the next one"
stop

# A server with few descriptors keeps some for the files of those whom it has taken; the others wait.
printf '#!/bin/sh\nulimit -n 100\nexec "%s" "$@"\n' "$LEAT" >"$work/few"
chmod +x "$work/few"
LEAT=$work/few serve http "$work/site" "${form[@]}"
many=()
for _ in $(seq 120); do
  exec {fd}<>/dev/tcp/10.9.0.2/80 || fail "connection ${#many[@]} of 120"
  many+=("$fd")
done
for i in $(seq 10); do
  printf 'GET /hello HTTP/1.1\r\nHost: few\r\n\r\n' >&"${many[0]}"
  read -r -t 60 line <&"${many[0]}" || fail "no answer $i from a server at its limit"
  [[ $line == *" 200 "* ]] || fail "answer $i of a server at its limit: $line"
  while [ "$line" != hello ]; do read -r -t 60 line <&"${many[0]}" || fail "answer $i ended early"; done
done
for fd in "${many[@]}"; do exec {fd}>&-; done
[ "$(curl -gsS --noproxy '*' --max-time 60 http://10.9.0.2/hello)" = hello ] || fail "the one behind them"
stop
