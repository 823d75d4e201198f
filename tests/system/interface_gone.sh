#!/usr/bin/env bash
# Somebody deletes the interface under a server: it says so, and ends instead of serving nobody.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

serve echo "${form[@]}" --device tap:leat0
ip link delete leat0
code=0
timeout 20 tail --pid="$server" -f /dev/null || fail "the server goes on without its interface"
wait "$server" || code=$?
[ "$code" -eq 2 ] || fail "the server ended with $code, not 2: $(cat "$work/server.log")"
grep -q "somebody deleted the interface: leat0; " "$work/server.log" || fail "the server says: $(cat "$work/server.log")"
