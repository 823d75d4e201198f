#!/usr/bin/env bash
# docs.sh CLI.MD: every command and option of --help stands in the page, in its command's section or, for what several commands
# share, in "Options of the stack"; and the page names none that is not there.
set -euo pipefail
page=$1 status=0
options() { grep -oE -- '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | grep -vx -- '--help' | sort -u; }
section() { awk -v title="$1" '/^## /{inside = ($0 == "## " title)} inside' "$page"; }
difference() {
  if [ -n "$2" ]; then echo "$1: $(tr '\n' ' ' <<<"$2")"; status=1; fi
}

commands=$("$LEAT" --help | awk '/^Subcommands:/{inside = 1; next} /^$/{inside = 0} inside && /^  [a-z]/{print $1}' | sort)
documented=$(sed -n 's/^## leat \([a-z]*\)$/\1/p' "$page" | sort)
difference "commands that the page lacks" "$(comm -23 <(echo "$commands") <(echo "$documented"))"
difference "commands that are not there" "$(comm -13 <(echo "$commands") <(echo "$documented"))"
shared=$(section "Options of the stack" | grep -oE -- '`(-[a-z], )?--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+' | sort -u)
if [ -z "$commands" ] || [ -z "$shared" ]; then echo "nothing to compare"; exit 1; fi
for command in $commands; do
  real=$("$LEAT" "$command" --help | awk '/^ +-/{sub(/^ +/, ""); print $1}' | tr ',' '\n' | options || true)
  said=$(section "leat $command" | grep -oE -- '`(-[a-zA-Z], )?--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+' | sort -u || true)
  if section "leat $command" | grep -q 'Options of the stack'; then said=$(printf '%s\n%s\n' "$said" "$shared" | grep . | sort -u); fi
  difference "options of $command that the page lacks" "$(comm -23 <(grep . <<<"$real" || true) <(grep . <<<"$said" || true))"
  difference "options of $command that are not there" "$(comm -13 <(grep . <<<"$real" || true) <(grep . <<<"$said" || true))"
done
exit $status
