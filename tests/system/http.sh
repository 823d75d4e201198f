#!/usr/bin/env bash
# Stock curl against `leat http`: both IP versions, 100 MB with equal hashes, ranges, errors, a hundred at once.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

site=$work/site
mkdir -p "$site/sub"
echo "hello" >"$site/sub/a b.txt"
echo "outside" >"$work/secret"
ln -s ../secret "$site/link"
head -c 100000000 /dev/urandom >"$site/big"
for i in $(seq 100); do echo "file $i" >"$site/$i.txt"; done
hash=$(sha256sum <"$site/big")
serve http "$site" "${form[@]}"
get() { curl -gsS --noproxy '*' --max-time 300 --path-as-is "$@"; }
status() { get -o /dev/null -w '%{http_code}' "$@"; }

for host in 10.9.0.2 '[fd09::2]'; do
  [ "$(get "http://$host/sub/a%20b.txt")" = hello ] || fail "a page over $host"
  [ "$(get "http://$host/big" | sha256sum)" = "$hash" ] || fail "100 MB over $host are not the same"
done
[ "$(get -r 1-3 "http://10.9.0.2/sub/a%20b.txt")" = ell ] || fail "a range"
[ "$(status -r 1-3 "http://10.9.0.2/sub/a%20b.txt")" = 206 ] || fail "status of a range"
[ "$(status -r 10- "http://10.9.0.2/sub/a%20b.txt")" = 416 ] || fail "a range behind the end"
[ "$(status -I http://10.9.0.2/big)" = 200 ] || fail "HEAD"
[ "$(status http://10.9.0.2/none)" = 404 ] || fail "a file that is not there"
[ "$(status http://10.9.0.2/sub)" = 301 ] || fail "a folder without a slash"
[ "$(status http://10.9.0.2/../secret)" = 400 ] || fail "a way out by .."
[ "$(status http://10.9.0.2/link)" = 403 ] || fail "a way out by a link"
[ "$(status http://10.9.0.2/none/../1.txt)" = 200 ] || fail "a way by .. that stays below the root"
[ "$(status -X PUT http://10.9.0.2/x)" = 405 ] || fail "PUT"
[ "$(status -X BOGUS http://10.9.0.2/x)" = 501 ] || fail "a method that there is not"
get http://10.9.0.2/sub/ | grep -q 'href="./a%20b.txt"' || fail "the listing"
[ "$(get -o /dev/null -o /dev/null -w '%{num_connects} ' http://10.9.0.2/1.txt http://10.9.0.2/2.txt)" = "1 0 " ] || fail "keep-alive"

pids=()
for i in $(seq 100); do
  get -o "$work/got-$i" "http://10.9.0.2/$i.txt" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || fail "one of 100 parallel curls: $?"; done
for i in $(seq 100); do cmp -s "$work/got-$i" "$site/$i.txt" || fail "file $i of 100 is not the same"; done

# Who is served when the server is told to end hears of it at once.
get --limit-rate 20M -o "$work/part" http://10.9.0.2/big 2>"$work/curl.log" &
slow=$!
for _ in $(seq 100); do [ -s "$work/part" ] && break; sleep 0.05; done
stop
ended=$SECONDS code=0
wait "$slow" || code=$?
[ "$code" -eq 56 ] || fail "a client of a server that ended: $code instead of 56, $(cat "$work/curl.log")"
[ $((SECONDS - ended)) -lt 60 ] || fail "the client waited $((SECONDS - ended)) s for a server that ended"
