#!/usr/bin/env bash
# completion.sh COMPLETION.BASH: what Tab offers behind the command's words.
set -euo pipefail
# shellcheck source=tools/completion.bash
. "$1"
status=0

# offers WANTED WORD...: the last word is the one being typed; all of WANTED must be offered, and nothing that does not begin so.
offers() {
  local wanted=$1 word
  shift
  COMP_WORDS=("$LEAT" "$@")
  COMP_CWORD=$#
  _leat
  for word in $wanted; do
    case " ${COMPREPLY[*]-} " in *" $word "*) ;; *) echo "'$*' lacks $word: ${COMPREPLY[*]-}"; status=1 ;; esac
  done
  if [ -z "$wanted" ] && [ ${#COMPREPLY[@]} -gt 0 ]; then echo "'$*' offers ${COMPREPLY[*]}"; status=1; fi
  if [ "${*: -1}" = = ]; then return; fi
  for word in "${COMPREPLY[@]}"; do
    case "$word" in "${*: -1}"*) ;; *) echo "'$*' offers $word"; status=1 ;; esac
  done
}

commands=$("$LEAT" --help | awk '/^Subcommands:/{inside = 1; next} /^$/{inside = 0} inside && /^  [a-z]/{print $1}')
offers "$commands" ''
offers "http" h
offers "--help" --h
offers "" nonsense ''
offers "event posix channel coroutine" nc --form ''
for command in $commands; do
  offers "$("$LEAT" "$command" --help | grep -oE '^ +-[^ ]+' | tr -d ' ' | tr ',' ' ')" "$command" -
done
offers "--demo --demo-bytes" up --de
offers "tap memory" up --device ''
offers "memory" up --device = m
offers "tap memory" up --device =
offers "newreno cubic" sim --seed 7 --cc ''
offers "tcp_sack= tcp_ecn=" up --option tcp_
offers "list demux all" bench ''
offers "" ping -c ''
cd "$(dirname "$1")"
offers "completion.bash" up --config comp
mkdir -p "$WORK/folder"
cd "$WORK"
: >file
offers "folder" http f
case " ${COMPREPLY[*]} " in *' file '*) echo "http offers a file"; status=1 ;; esac
offers "folder file" up --pcap f
offers "folder" up --demo --http f
exit $status
