#!/usr/bin/env bash
# How nc ends: a peer that has finished and goes on reading gets the rest of the input; what is refused, and nobody at all.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || skip "no python3 here, whose sockets can shut down one direction"

# The other side of a connection: sends FILE, shuts down its writing side, and only then reads all that comes, into GOT.
cat >"$work/peer.py" <<'PYTHON'
import socket, sys, threading, time
role, port, path, got = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
if role == "serve":
    listener = socket.create_server(("10.9.0.1", port))
    print("ready", flush=True)
    peer, _ = listener.accept()
else:
    for attempt in range(400):
        try:
            peer = socket.create_connection(("10.9.0.2", port), 60)
            break
        except OSError:
            time.sleep(0.05)
peer.settimeout(100)
data = open(path, "rb").read()
received = bytearray()
def read():
    while True:
        piece = peer.recv(65536)
        if not piece:
            return
        received.extend(piece)
if role == "serve":  # first the end of ours, then the other's bytes
    peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
    print("finished", flush=True)
    read()
else:  # both at once, or both would wait for room
    reader = threading.Thread(target=read)
    reader.start()
    peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
    reader.join()
open(got, "wb").write(received)
PYTHON

# The input begins when the peer has long finished.
head -c 100000 /dev/urandom >"$work/data"
echo hello >"$work/hello"
ip tuntap add dev leat0 mode tap
ip address add 10.9.0.1/24 dev leat0
python3 "$work/peer.py" serve 6001 "$work/hello" "$work/got" >"$work/said" &
peer=$!
for _ in $(seq 200); do ! grep -q ready "$work/said" || break; sleep 0.05; done
code=0
{
  for _ in $(seq 400); do ! grep -q finished "$work/said" || break; sleep 0.05; done
  for _ in $(seq 400); do ! cmp -s "$work/hello" "$work/out" || break; sleep 0.05; done
  cat "$work/data" 2>/dev/null
} | "$LEAT" nc "${form[@]}" --setup -q 10.9.0.1 6001 >"$work/out" 2>"$work/error" || code=$?
[ "$code" -eq 0 ] || fail "nc to a peer that has finished ended with $code: $(cat "$work/error")"
wait "$peer" || fail "the peer ended with $?"
cmp -s "$work/hello" "$work/out" || fail "nc did not get the peer's bytes"
cmp -s "$work/data" "$work/got" || fail "the peer got $(stat -c %s "$work/got") of 100000 bytes"

# Both at once, several times: neither direction is cut off by the other's end.
head -c 5000000 /dev/urandom >"$work/large"
for round in $(seq 5); do
  python3 "$work/peer.py" connect 6000 "$work/large" "$work/got" &
  peer=$!
  code=0
  "$LEAT" nc "${form[@]}" -l 6000 --setup -q <"$work/large" >"$work/out" 2>"$work/error" || code=$?
  [ "$code" -eq 0 ] || fail "nc -l ended with $code in round $round: $(cat "$work/error")"
  wait "$peer" || fail "the peer ended with $? in round $round"
  cmp -s "$work/large" "$work/got" || fail "the peer got $(stat -c %s "$work/got") of 5000000 bytes in round $round"
  cmp -s "$work/large" "$work/out" || fail "nc got $(stat -c %s "$work/out") of 5000000 bytes in round $round"
done

# A reader that is slower than the connection gets what came before the end, all of it.
"$LEAT" nc "${form[@]}" --device memory -q 10.9.0.1 7 <"$work/large" | { sleep 1; cat; } >"$work/out" || fail "nc into a slow pipe ended with $?"
cmp -s "$work/large" "$work/out" || fail "a slow pipe got $(stat -c %s "$work/out") of 5000000 bytes"

# refused WHAT PATTERN COMMAND...: exit code 1, one line that says why.
refused() {
  local what=$1 pattern=$2 code=0
  shift 2
  timeout 100 "$@" >"$work/out" 2>"$work/error" || code=$?
  [ "$code" -eq 1 ] || fail "$what: ended with $code: $(cat "$work/error")"
  [ "$(wc -l <"$work/error")" -eq 1 ] || fail "$what: not one line: $(cat "$work/error")"
  grep -q -- "$pattern" "$work/error" || fail "$what says: $(cat "$work/error")"
  [ ! -s "$work/out" ] || fail "$what writes to stdout: $(cat "$work/out")"
}
refused "datagrams to a closed port" "Nothing listens" "$LEAT" nc "${form[@]}" -u --setup -q 10.9.0.1 5999 -w 50s <<<hi
refused "nobody comes" "no connection for 300 ms" "$LEAT" nc "${form[@]}" -l 80 --device memory -w 300ms -q </dev/null
# The numbers go to stderr, since stdout is the peer's; a problem is in them, and not said again.
refused "as JSON" '^{.*"received":0,.*"error":.*}$' "$LEAT" nc "${form[@]}" --device memory --json -q 10.9.0.1 9 </dev/null

# Who is stopped before there is a peer has not done what was asked.
stopped() {
  local what=$1 code=0
  shift
  "$LEAT" nc "${form[@]}" --device memory -q "$@" </dev/null >/dev/null 2>&1 &
  local nc=$!
  sleep 0.5
  kill -TERM "$nc"
  wait "$nc" || code=$?
  [ "$code" -eq 143 ] || fail "$what, stopped by SIGTERM, ended with $code"
}
stopped "nc that waits for a connection" -l 80
stopped "nc -u that waits for a datagram" -u -l 80
stopped "nc that nobody answers" 10.9.0.99 80
