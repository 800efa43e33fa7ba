#!/bin/sh
# Runs a round and says by its exit code what is to become of a merge request. Made by: @CALL@
#   0  the gate promoted the challenger
#   3  it held, or it could not tell: then BURNISH_INCONCLUSIVE (default 3) is the exit code
#   4  people have to answer first: an approval, questions, or more budget
#   else an error of burnish, with its own code
# usage: burnish-gate.sh PROJECT DATA
set -u
burnish data add "$2" --project "$1" --quiet || exit
result=$(burnish round --project "$1" --json --quiet)
code=$?
decision=$(printf '%s' "$result" | python3 -c 'import json, sys; print(json.loads(sys.stdin.read() or "{}").get("decision", ""))')
printf 'exit code %s: %s\n' "$code" "${decision:-no verdict}"
[ -z "$result" ] || printf '%s\n' "$result" > burnish-round.json
if [ "$code" = 3 ] && [ "$decision" = INCONCLUSIVE ]; then
  exit "${BURNISH_INCONCLUSIVE:-3}"
fi
exit "$code"
