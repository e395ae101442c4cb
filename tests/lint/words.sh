#!/usr/bin/env bash
# words.sh [FILE...]: what must not stand in a file that is committed: this machine's paths, keys, and
# open ends without an issue number. Without arguments: all files that git tracks or would track.
# Prints `file:line: …`.
set -uo pipefail
if [ $# -eq 0 ]; then
    mapfile -t all < <(git ls-files -co --exclude-standard | while read -r f; do [ -f "$f" ] && echo "$f"; done)
    set -- "${all[@]}"
fi
[ $# -gt 0 ] || exit 0

# The patterns are put together here, so that this file does not match itself.
report() { # PATTERN SENTENCE FILE...
    local pattern=$1 sentence=$2
    shift 2
    grep -InE -- "$pattern" "$@" /dev/null | sed -E "s|^([^:]+:[0-9]+):.*|\1: $sentence|"
}
here=$(pwd -P)
# A checkout at the root or in one short folder would match innocent text.
if [ "${#here}" -gt 6 ]; then
    report "(^|[^A-Za-z0-9._-])${here//./\\.}(/|[^A-Za-z0-9._-]|\$)" 'the absolute path of a checkout' "$@"
fi
report '(^|[^A-Za-z])/(home|Users)/[a-z]' 'a path of one machine' "$@"
report "(^|[^A-Za-z])(TO""DO|FIX""ME|X""XX)([^(A-Za-z]|\$)" 'an open end without an issue number: write it as NAME(#12)' "$@"
report "-----BEGIN ([A-Z]+ )?PRIVATE"" KEY-----" 'a private key' "$@"
report '^(<<<<<<<|>>>>>>>) ' 'a merge conflict' "$@"
report '"resolved": *"https?:' 'a lockfile with registry hosts; see deploy/demo/package.json' "$@"
exit 0
