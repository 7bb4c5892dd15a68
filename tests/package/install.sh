#!/bin/sh
# Installs into an empty prefix and is a user of it: every program in README.md is built against what
# was installed, by pkg-config and by find_package, shared and static, and run against a real etcd.
#     sh tests/package/install.sh BUILD_FOLDER README
# So is each recipe for the installed command: a fenced block of sh right below a line
# <!-- recipe: NAME -->, run in a folder with a program ./scheduler, which has to be told its token.
# A program is a fenced block of C right below a line <!-- example: NAME -->.  It is run with the
# etcd's HOST:PORT as its one argument (and in ROLLCALL_ENDPOINTS), has to end with status 0 by itself
# within 30 seconds, and to tell of a session of querynode that is there.
set -eu

build=$1
readme=$2
here=$(cd "$(dirname "$0")" && pwd)
: "${ROLLCALL_TEST_ETCD:?is not set: run this through tests/run.sh}"
work=$(mktemp -d)
there=by-dev/meta/session/querynode-990077
etcd() {
    ETCDCTL_API=3 etcdctl --endpoints "$ROLLCALL_TEST_ETCD" "$@" >/dev/null
}
trap 'rm -rf "$work"; etcd del "$there" || :' EXIT
prefix=$work/prefix
passed=0

fail() {
    echo "failed: $1"
    [ ! -s "$work/log" ] || cat "$work/log"
    exit 1
}
quietly() { # quietly WHAT COMMAND...: shows the output only of a failure
    what=$1
    shift
    "$@" >"$work/log" 2>&1 || fail "$what"
    passed=$((passed + 1))
}

cut_examples() {
    awk -v folder="$work/examples" '
        /^<!-- example: [a-z_]+ -->$/ { name = $3; next }
        name != "" && /^```c$/        { inside = 1; next }
        inside && /^```$/             { close(folder "/" name ".c"); inside = 0; name = ""; next }
        inside                        { print > (folder "/" name ".c"); next }
        NF > 0                        { name = "" }' "$readme"
}
run_recipe() { # run_recipe NAME
    mkdir "$work/$1"
    awk -v line="<!-- recipe: $1 -->" '
        $0 == line           { named = 1; next }
        named && /^```sh$/   { inside = 1; next }
        inside && /^```$/    { exit }
        inside               { print; next }
        NF > 0               { named = 0 }' "$readme" >"$work/$1/recipe.sh"
    [ -s "$work/$1/recipe.sh" ] || fail "$readme has no recipe $1"
    printf '#!/bin/sh\n[ "$ROLLCALL_TOKEN" -gt 0 ] && echo "$*" >said\n' >"$work/$1/scheduler"
    chmod +x "$work/$1/scheduler"
    # shellcheck disable=SC2016
    quietly "the recipe $1" env ROLLCALL_ENDPOINTS="$ROLLCALL_TEST_ETCD" \
        ROLLCALL_ROOT="recipe-$$" PATH="$prefix/bin:$PATH" timeout 30 \
        sh -c 'cd "$0" && sh -eu recipe.sh && [ "$(cat said)" = "--data jobs" ]' "$work/$1"
}
run_example() { # run_example PROGRAM: with only the installed library to be found
    quietly "$1 against etcd" env ROLLCALL_ENDPOINTS="$ROLLCALL_TEST_ETCD" timeout 30 \
        "$1" "$ROLLCALL_TEST_ETCD"
    grep -q "^$there .*10\.0\.0\.7:1\$" "$work/log" || fail "$1 does not tell of $there"
}

quietly "cmake --install" cmake --install "$build" --prefix "$prefix"
pc=$(find "$prefix" -name rollcall.pc)
[ -n "$pc" ] || fail "rollcall.pc is not installed"
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
library_folder=$(dirname "$PKG_CONFIG_PATH")
for file in "$library_folder/librollcall.so" "$library_folder/librollcall.a" \
    "$prefix/include/rollcall/session.h" "$prefix/include/rollcall/version.h" \
    "$prefix/bin/rollcall"; do
    [ -e "$file" ] || fail "${file#"$prefix/"} is not installed"
done
[ -n "$(find "$prefix/share" -name LICENSE)" ] || fail "LICENSE is not installed"
version=$(pkg-config --modversion rollcall)
[ "$("$prefix/bin/rollcall" --version)" = "rollcall $version" ] ||
    fail "the installed command does not run, or is not version $version"
passed=$((passed + 1))

etcd put -- "$there" '{"ServerID":990077,"ServerName":"querynode","Address":"10.0.0.7:1"}'
run_recipe singleton

mkdir "$work/examples"
cut_examples
[ -e "$work/examples/session.c" ] ||
    fail "$readme has no C program below a line <!-- example: session -->"

for source in "$work/examples"/*.c; do
    name=$(basename "$source" .c)
    # shellcheck disable=SC2046
    quietly "pkg-config, shared: $name" cc -std=c11 -Wall -Wextra -Werror "$source" \
        -o "$work/$name.shared" $(pkg-config --cflags --libs rollcall) "-Wl,-rpath,$library_folder"
    run_example "$work/$name.shared"
    # shellcheck disable=SC2046
    quietly "pkg-config, static: $name" cc -std=c11 -Wall -Wextra -Werror "$source" \
        -o "$work/$name.static" $(pkg-config --cflags rollcall) \
        $(pkg-config --static --libs rollcall | sed 's/-lrollcall/-l:librollcall.a/')
    run_example "$work/$name.static"
    if ldd "$work/$name.static" | grep -q librollcall; then
        fail "$name, linked with librollcall.a, still needs librollcall.so"
    fi
done

cp "$here/consumer/CMakeLists.txt" "$work/examples"
quietly "find_package(rollcall)" cmake -S "$work/examples" -B "$work/consumer" \
    "-DCMAKE_PREFIX_PATH=$prefix"
quietly "a project that uses rollcall::rollcall and rollcall::rollcall_static" \
    cmake --build "$work/consumer"
for program in "$work/consumer"/*.cmake_shared "$work/consumer"/*.cmake_static; do
    run_example "$program"
done
echo "$passed passed, 0 failed"
