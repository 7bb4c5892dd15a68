#!/bin/sh
# Every public header compiles alone, twice, without a warning, as C11 and as C++11.
#     sh tests/package/headers.sh INCLUDE_FOLDER...
set -eu

flags=''
for folder in "$@"; do
    flags="$flags -I$folder"
done
# No -Wshadow in C++: there a function may not share its name with a struct, as stat() does.
warnings='-Wall -Wextra -Wpedantic -Wundef -Werror -fsyntax-only'
passed=0
failed=0
for folder in "$@"; do
    for header in "$folder"/rollcall/*.h; do
        [ -e "$header" ] || continue
        name=rollcall/${header##*/}
        # shellcheck disable=SC2086
        for compiler in "cc -std=c11 -Wshadow -Wstrict-prototypes -x c" "c++ -std=c++11 -x c++"; do
            if printf '#include <%s>\n#include <%s>\n' "$name" "$name" |
                $compiler $warnings $flags -; then
                passed=$((passed + 1))
            else
                echo "<$name> does not compile with: ${compiler%% -x*}"
                failed=$((failed + 1))
            fi
        done
    done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
