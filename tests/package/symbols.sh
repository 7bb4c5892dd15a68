#!/bin/sh
# librollcall.so exports the public names, rollcall_noun, and nothing else: no rollcall__private, no
# generated protobuf, nothing of a library inside.
#     sh tests/package/symbols.sh LIBRARY
set -eu

exported=$(nm -D --defined-only "$1" | awk '$2 != "A" { print $3 }')
public=$(echo "$exported" | grep -c '^rollcall_[^_]' || :)
stray=$(echo "$exported" | grep -v '^rollcall_[^_]' || :)
if [ -n "$stray" ]; then
    echo "exported, but not public:"
    echo "$stray"
    exit 1
fi
if [ "$public" -eq 0 ]; then
    echo "nothing is exported"
    exit 1
fi
echo "$public public names"
