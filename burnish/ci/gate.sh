#!/bin/sh
# Runs a round and says by its exit code what is to become of a merge request. Made by: @CALL@
#   0  the gate promoted the challenger
#   3  it held
#   4  people have to answer first: an approval, questions, or more budget
#   6  it could not tell; BURNISH_INCONCLUSIVE=0 lets that pass, any other number takes the place of 6
#   else an error of burnish, with its own code
# usage: burnish-gate.sh PROJECT DATA
set -u
burnish data add "$2" --project "$1" --quiet || exit
result=$(burnish round --project "$1" --json --quiet)
code=$?
printf 'exit code %s\n' "$code"
[ -z "$result" ] || printf '%s\n' "$result" > burnish-round.json
[ "$code" = 6 ] && exit "${BURNISH_INCONCLUSIVE:-6}"
exit "$code"
