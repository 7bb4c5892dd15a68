# shellcheck shell=sh
# What the scripts beside it have in common; each sources it first.

here=$(cd "$(dirname "$0")" && pwd)

# find_build [BUILD]: sets `build` to its absolute path.
find_build() {
    build=$(cd "${1:-build/release}" && pwd)
}

# Builds Go's client, the peer of ours, and sets `theirs` to its path.  Without Go, or the modules
# that peers/clientv3/go.mod names, a line on stderr says so, and `theirs` is ''.
build_theirs() {
    theirs=$build/bench/peers/clientv3
    if ! log=$(cd "$here/peers/clientv3" && go build -mod=readonly -o "$theirs" . 2>&1); then
        echo "$(basename "$0" .sh): none of Go's beside ours, for it cannot be built:" \
            "$(echo "$log" | tail -n 1)" >&2
        theirs=''
    fi
}

# Makes `folder`, which is there until the script ends, however it ends: in memory, if there is such
# a place, for what a disk does to etcd's data is no part of a comparison.
make_folder() {
    folder=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
    trap 'rm -rf "$folder"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}
