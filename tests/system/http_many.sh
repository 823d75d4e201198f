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
