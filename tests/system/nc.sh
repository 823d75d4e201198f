#!/usr/bin/env bash
# nc and echo: both ways over TCP, datagrams, and what is refused.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# A listener on Leat; the kernel's side sends.
head -c 3000000 /dev/urandom >"$work/data"
"$LEAT" nc "${form[@]}" -l 77 --setup -q </dev/null >"$work/got" &
server=$!
for _ in $(seq 100); do
  if { exec 3<>/dev/tcp/10.9.0.2/77; } 2>/dev/null; then break; fi
  sleep 0.05
done
cat "$work/data" >&3
exec 3>&-
wait "$server" || fail "nc -l ended with $?"
cmp -s "$work/data" "$work/got" || fail "nc -l did not get what was sent"

# Echo over TCP and UDP.
serve echo "${form[@]}"
exec 3<>/dev/tcp/10.9.0.2/7
echo "over tcp" >&3
read -r -t 60 line <&3 || fail "no echo over TCP"
[ "$line" = "over tcp" ] || fail "TCP echo said '$line'"
exec 3>&-
exec 4<>/dev/udp/10.9.0.2/7
echo "over udp" >&4
line=$(timeout 60 head -n 1 <&4) || fail "no echo over UDP"  # one read: a shorter one would cut the datagram
[ "$line" = "over udp" ] || fail "UDP echo said '$line'"
exec 4>&-

# More connections at once than the kernel lets epoll sets nest (500).
ulimit -Sn "$(ulimit -Hn)"
many=()
for _ in $(seq 700); do
  exec {fd}<>/dev/tcp/10.9.0.2/7 || fail "connection ${#many[@]} of 700"
  many+=("$fd")
done
for fd in "${many[@]}"; do echo "on $fd" >&"$fd"; done
for fd in "${many[@]}"; do
  read -r -t 60 line <&"$fd" || fail "no echo on one of 700 connections"
  [ "$line" = "on $fd" ] || fail "one of 700 connections said '$line'"
  exec {fd}>&-
done
stop

# Datagrams are answered from the address that was asked.
serve echo "${form[@]}" --ip 10.9.0.2/24 --ip 10.9.0.3/24 --ip fd09::2/64 --ip fd09::3/64
for address in 10.9.0.3 fd09::3; do
  for _ in $(seq 100); do if ping -c 1 -W 1 -n "$address" >/dev/null 2>&1; then break; fi; done
  exec 4<>"/dev/udp/$address/7"
  echo "over udp" >&4
  line=$(timeout 60 head -n 1 <&4) || fail "no echo over UDP from $address"  # the socket takes nobody else's
  [ "$line" = "over udp" ] || fail "UDP echo from $address said '$line'"
  exec 4>&-
done
stop

# A client on Leat, against a Leat echo; large data must come back whole.
"$LEAT" nc "${form[@]}" --device memory -q 10.9.0.1 7 <"$work/data" >"$work/got" || fail "nc ended with $?"
cmp -s "$work/data" "$work/got" || fail "nc did not get back what it sent"
[ "$(echo datagram | "$LEAT" nc "${form[@]}" -u --device memory -q 10.9.0.1 7)" = datagram ] || fail "nc -u"
code=0
"$LEAT" nc "${form[@]}" --setup -q 10.9.0.1 9 </dev/null 2>"$work/error" || code=$?
[ "$code" -eq 1 ] || fail "a refused connection ended with $code, not 1"
[ "$(wc -l <"$work/error")" -eq 1 ] || fail "more than one line: $(cat "$work/error")"

# Two stacks of two processes over shared memory: the first waits for the second; a third is not let in.
"$LEAT" echo "${form[@]}" --device shm:lab --ip 10.5.0.1/24 -q 2>"$work/shm.log" &
server=$!
for _ in $(seq 100); do
  if "$LEAT" ping --device shm:lab --ip 10.5.0.2/24 -c 1 -q 10.5.0.1 >/dev/null 2>&1; then break; fi
  sleep 0.05
done
"$LEAT" nc "${form[@]}" --device shm:lab --ip 10.5.0.2/24 -q 10.5.0.1 7 <"$work/data" >"$work/got" || fail "nc over shm ended with $?"
cmp -s "$work/data" "$work/got" || fail "nc over shm did not get back what it sent"
stop
