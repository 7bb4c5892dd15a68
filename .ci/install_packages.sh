#!/bin/sh
# Makes sure that what building and running needs is there:
#     sh .ci/install_packages.sh [COMMAND:PACKAGE...]
# Looks for the tools themselves, not for packages, so an etcd or cmake from elsewhere on PATH
# counts, and nothing at all is called when nothing is missing.  On Debian the missing packages are
# installed, without questions; elsewhere one line says what is missing.
set -eu

missing=''
need() { # need PACKAGE, after a failed look
    case " $missing " in
    *" $1 "*) ;;
    *) missing="${missing:+$missing }$1" ;;
    esac
}
have() {
    command -v "$1" >/dev/null 2>&1
}

have cc && have c++ && have make || need build-essential
have cmake || need cmake
have pkg-config || need pkg-config
have protoc-c || need protobuf-c-compiler
have etcd || need etcd-server
have etcdctl || need etcd-client
for pair in grpc:libgrpc-dev libprotobuf-c:libprotobuf-c-dev ck:libck-dev \
    criterion:libcriterion-dev; do
    if ! have pkg-config || ! pkg-config --exists "${pair%%:*}"; then
        need "${pair#*:}"
    fi
done
for pair in "$@"; do
    have "${pair%%:*}" || need "${pair#*:}"
done
[ -n "$missing" ] || exit 0

if ! have apt-get || [ ! -e /etc/debian_version ]; then
    echo "rollcall: missing: $missing (Debian's package names): install them and run this again" >&2
    exit 1
fi
as_root=''
if [ "$(id -u)" -ne 0 ]; then
    if ! have sudo; then
        echo "rollcall: missing: run as root: apt-get install --no-install-recommends $missing" >&2
        exit 1
    fi
    as_root=sudo
fi

install_missing() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        -o DPkg::Lock::Timeout=300 --no-install-recommends $missing </dev/null
}
echo "rollcall: installing $missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The lists of packages may be absent or too old; they are fetched only then.
if ! install_missing >"$log" 2>&1; then
    if ! { $as_root apt-get update -qq </dev/null && install_missing; } >"$log" 2>&1; then
        cat "$log" >&2
        echo "rollcall: apt-get could not install: $missing" >&2
        exit 1
    fi
fi
