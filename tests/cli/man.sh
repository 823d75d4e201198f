#!/usr/bin/env bash
# man.sh LEAT.1: every command and option of --help stands in the manual page, and roff has nothing to say about it.
set -euo pipefail
page=$1 status=0
[ "$(grep -c '^\.SH' "$page")" -ge 6 ] || { echo "hardly any section"; status=1; }
terms=$(sed 's/\\-/-/g' "$page")
for command in $("$LEAT" --help | awk '/^Subcommands:/{inside = 1; next} /^$/{inside = 0} inside && /^  [a-z]/{print $1}'); do
  grep -qxF ".SS \"leat $command\"" <<<"$terms" || { echo "no section on $command"; status=1; }
  for option in $("$LEAT" "$command" --help | grep -oE -- '^ +-[^ ]+' | tr ',' '\n' | grep -oE -- '--[a-z-]+'); do
    grep -qE -- "\\\\fB([^\\]*, )?$option( [^\\]*|, [^\\]*)?\\\\fP" <<<"$terms" || { echo "no $option of $command"; status=1; }
  done
done
if command -v groff >/dev/null; then
  said=$(groff -man -Tutf8 -ww -Wbreak -z "$page" 2>&1)
  [ -z "$said" ] || { echo "$said"; status=1; }
fi
exit $status
