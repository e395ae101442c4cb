#!/usr/bin/env bash
# tidy.sh: clang-tidy 14 over gateway/*.c with a small fixed set of checks. O is a build folder whose
# generated headers exist (make generated). Prints `file:line: …`.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
O=${O:-build}
make -s O="$O" generated >&2 || { echo "Makefile:1: make generated failed"; exit 1; }

# Left out, because they fire on C as the house writes it:
#   easily-swappable-parameters; narrowing-conversions and the widening ones (-Wconversion does it);
#   reserved-identifier and DCL37/DCL51 (the same); assignment-in-if (the readers' idiom);
#   sizeof-expression (sizeof a pointer, for tables of pointers); err33 (fprintf in the command line
#   tool); insecureAPI.DeprecatedOrUnsafeBufferHandling (wants memcpy_s, which glibc has not);
#   StackAddressEscape (messages that point at locals and are packed before the return);
#   unix.Malloc (takes a popped item of a circular list for the next one).
checks='-*,bugprone-*,cert-*,clang-analyzer-*'
checks+=',-bugprone-easily-swappable-parameters,-bugprone-narrowing-conversions'
checks+=',-bugprone-implicit-widening-of-multiplication-result,-bugprone-misplaced-widening-cast'
checks+=',-bugprone-reserved-identifier,-cert-dcl37-c,-cert-dcl51-cpp'
checks+=',-bugprone-assignment-in-if-condition,-bugprone-sizeof-expression,-cert-err33-c'
checks+=',-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling'
checks+=',-clang-analyzer-core.StackAddressEscape,-clang-analyzer-unix.Malloc'

packages='libevent openssl libnghttp2 libprotobuf-c libpq jansson libfyaml libutf8proc libcurl libpcre2-8 libzip'
# shellcheck disable=SC2046,SC2086
set -- -std=c11 -D_GNU_SOURCE -Igateway -isystem "$O/gen" '-DSLUICE_VERSION="0"' \
    "-DAPI_DESCRIPTOR_FILE=\"$O/gen/api.pb\"" $(pkg-config --cflags $packages)

one() { # FILE FLAGS...
    local file=$1
    shift
    [ "$file" = gateway/base/err.c ] || set -- -include tests/lint/analyzer.h "$@"
    clang-tidy-14 --quiet --checks="$checks" "$file" -- "$@" 2>/dev/null |
        sed -nE "s|^$PWD/||; s/^(gateway[^:]*:[0-9]+):[0-9]+: (warning|error): /\1: /p"
}
export -f one
export checks
find gateway -name '*.c' -print0 | sort -z |
    xargs -0 -P "$(nproc)" -I{} bash -c 'one "$@"' - {} "$@" | sort -u
