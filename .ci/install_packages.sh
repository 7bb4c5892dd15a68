#!/bin/sh
# Makes sure that what building and running needs is there:
#     sh .ci/install_packages.sh [COMMAND:PACKAGE | libfuzzer | spin]...
# Looks for the tools themselves, not for packages, so an etcd or cmake from elsewhere on PATH
# counts, and nothing at all is called when nothing is missing.  On Debian the missing packages are
# installed, without questions; elsewhere one line says what is missing.  Only libfuzzer may stay
# missing: then the fuzz targets replay what was found before.  So may spin, but not on Debian: then
# ctest says of the models that it skips them.
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
for pair in grpc:libgrpc-dev libprotobuf-c:libprotobuf-c-dev libcrypto:libssl-dev \
    ck:libck-dev criterion:libcriterion-dev jansson:libjansson-dev; do
    if ! have pkg-config || ! pkg-config --exists "${pair%%:*}"; then
        need "${pair#*:}"
    fi
done
on_debian() {
    have apt-get && [ -e /etc/debian_version ]
}
have_libfuzzer() {
    have clang-14 && ls "$(clang-14 -print-runtime-dir)"/libclang_rt.fuzzer-*.a >/dev/null 2>&1
}
wanted=''
for pair in "$@"; do
    if [ "$pair" = libfuzzer ]; then
        have_libfuzzer || ! on_debian || wanted='clang-14 libclang-rt-14-dev'
    elif [ "$pair" = spin ] && ! have spin && ! on_debian; then
        echo 'rollcall: no spin on PATH (spinroot.com): the models are skipped' >&2
    else
        have "${pair%%:*}" || need "${pair#*:}"
    fi
done
[ -n "$missing$wanted" ] || exit 0

if ! on_debian; then
    echo "rollcall: missing: $missing (Debian's package names): install them and run this again" >&2
    exit 1
fi
as_root=''
if [ "$(id -u)" -ne 0 ]; then
    if ! have sudo; then
        [ -n "$missing" ] || exit 0
        echo "rollcall: missing: run as root: apt-get install --no-install-recommends $missing" >&2
        exit 1
    fi
    as_root=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
try_install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" </dev/null >"$log" 2>&1
}
# The lists of packages may be absent or too old; they are fetched only then.
install() {
    echo "rollcall: installing $*" >&2
    try_install "$@" ||
        { $as_root apt-get update -qq </dev/null >"$log" 2>&1 && try_install "$@"; } ||
        { cat "$log" >&2 && echo "rollcall: apt-get could not install: $*" >&2 && return 1; }
}
# shellcheck disable=SC2086
[ -z "$missing" ] || install $missing || exit 1
# shellcheck disable=SC2086
[ -z "$wanted" ] || install $wanted || echo "rollcall: going on without libFuzzer" >&2
