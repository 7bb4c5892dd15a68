#!/bin/sh
# What replays seeds.txt fails when a line does, or cannot be read.
#     sh tests/simulation/seeds.sh PROGRAM
set -eu

program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0

# expect STATUS TEXT LINE: of a list with that line, among what passes.
expect() {
    printf '# a comment\n\nmembers 1 10 none  # passes\n%s\n' "$3" >"$work/list"
    status=0
    "$program" kept "$work/list" >"$work/log" 2>&1 || status=$?
    if [ "$status" -ne "$1" ] || ! grep -q "$2" "$work/log"; then
        cat "$work/log"
        echo "failed: \"$3\" answers $status, not $1 with \"$2\""
        exit 1
    fi
    passed=$((passed + 1))
}

expect 0 '^2 passed, 0 failed' 'watch 7 10 drawn # passes'
expect 0 '^2 passed, 0 failed' 'watch 7 10 cut@1,kill@2'
expect 1 '^to keep it: planted 3 10 none  # planted' 'planted 3 10 cut@1'
expect 1 'line 4: no scenario' 'nobody 1 10 none'
expect 1 'line 4: it is not' 'members 1 10'
expect 1 'line 4: it is not' 'members one 10 none'
expect 1 'line 4: it is not' 'members 1 10 none none'
expect 1 'line 4: a seed' 'members 0 10 none'
expect 1 'cot@1' 'members 1 10 cot@1'
"$program" kept "$work/nothing" >"$work/log" 2>&1 && { echo "failed: no list is a list"; exit 1; }
echo "$((passed + 1)) passed, 0 failed"
