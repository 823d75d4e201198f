#!/usr/bin/env bash
# 10 MB by stock curl over a link with 20 ms and 2 % loss per packet each way: the same bytes, within 120 s.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$work/site"
head -c 10000000 /dev/urandom >"$work/site/file"
serve http "$work/site" --impair delay=20ms,loss=2%
curl -sS --noproxy '*' --max-time 120 -o "$work/got" http://10.9.0.2/file || fail "curl ended with $?"
cmp -s "$work/got" "$work/site/file" || fail "not the same bytes"
stop
