# shellcheck shell=bash
# Tab completion of the `leat` command in bash: sourced, or found by bash-completion under its name.
#
# It knows no option by itself: commands, options and the values of an option are read from --help, so it is as new as the
# command. Nothing else is run but `leat bench list`, and nothing is printed when the command is not there.

_leat() {
  local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word command='' help line
  # bash cuts --device=tap into three words.
  if [ "$current" = = ]; then
    current=''
  elif [ "$previous" = = ]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) command=$word; break ;; esac
  done
  program=${program/#\~/$HOME}
  COMPREPLY=()
  if [ -z "$command" ]; then
    help=$("$program" --help 2>/dev/null | awk '/^Subcommands:/ { commands = 1; next } commands && /^  [a-z]/ { print $1 } /^  -/ { gsub(",", " ", $1); print $1 }')
    mapfile -t COMPREPLY < <(compgen -W "$help" -- "$current")
    return
  fi
  help=$("$program" "$command" --help 2>/dev/null) || return 0
  # "  -c,--count N    how many": the line of the option that waits for its value, when it takes one.
  case "$previous" in
    -*) line=$(awk -v option="$previous" '/^ +-/ { n = split($1, names, ","); for (i = 1; i <= n; i++) if (names[i] == option && $2 ~ /^[A-Z]/) print }' <<<"$help") ;;
    *) line='' ;;
  esac
  if [ -z "$line" ] && [[ $current == -* ]]; then
    help=$(awk '/^ +-/ { gsub(",", "\n", $1); print $1 }' <<<"$help")
    mapfile -t COMPREPLY < <(compgen -W "$help" -- "$current")
    return
  fi
  [ -n "$line" ] || line=$(awk '/^Positionals:/ { getline; print "positional " $1; exit }' <<<"$help")
  case "$line" in
    *' FILE '*) compopt -o filenames 2>/dev/null || true; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    *' DIR '* | 'positional DIR') compopt -o filenames 2>/dev/null || true; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    'positional NAME') mapfile -t COMPREPLY < <(compgen -W "list $("$program" "$command" list 2>/dev/null | awk '{ print $1 }')" -- "$current") ;;
    positional*) ;;
    *' NAME=VALUE '*) compopt -o nospace 2>/dev/null || true; mapfile -t COMPREPLY < <(compgen -S = -W "$("$program" "$command" --option list 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$current") ;;
    *' LIST '*) ;;
    # "tap, tun or memory" in what the option says.
    *) mapfile -t COMPREPLY < <(compgen -W "$(grep -oE '[a-z_0-9]+(, [a-z_0-9]+)* or [a-z_0-9]+' <<<"$line" | head -n 1 | sed 's/,//g; s/ or / /')" -- "$current") ;;
  esac
}
complete -F _leat leat
