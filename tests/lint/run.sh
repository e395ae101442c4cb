#!/usr/bin/env bash
# `make lint`: the rules of the house that a program can check. Each failure is one line
# `file:line: what is wrong`; exit status 1 when there is one. LINT_TIDY=1 adds clang-tidy.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
lint=tests/lint
failures=$(mktemp)
trap 'rm -f "$failures"' EXIT

# What git tracks or would track: build output and node_modules are not looked at.
files() { git ls-files -co --exclude-standard -- "$@" | while read -r f; do [ -f "$f" ] && echo "$f"; done; }
mapfile -t c_files < <(files 'gateway/*.[ch]' 'tests/*.[ch]')
mapfile -t gateway_files < <(files 'gateway/*.[ch]')
mapfile -t shell_files < <(files '*.sh' '.ci/run')

check() { # NAME COMMAND...: the command prints failures, one a line
    local name=$1 before after
    shift
    before=$(wc -l <"$failures")
    "$@" >>"$failures"
    after=$(wc -l <"$failures")
    if [ "$after" -eq "$before" ]; then printf 'ok    %s\n' "$name"; else printf 'FAIL  %s\n' "$name"; fi
}

formatted() {
    local tool=clang-format-14
    if ! "$tool" --version >/dev/null 2>&1; then
        echo "Makefile:1: clang-format 14 is missing; run deploy/install-dependencies.sh lint"
        return
    fi
    [ "${#c_files[@]}" -eq 0 ] || "$tool" --dry-run -Werror "${c_files[@]}" 2>&1 |
        sed -nE 's/^([^ :]+:[0-9]+):[0-9]+: error: .*/\1: not as clang-format writes it; run make fmt/p' | uniq
}

shell_syntax() {
    local file
    for file in "${shell_files[@]}"; do
        bash -n "$file" 2>&1 | sed 's/: line \([0-9]*\):/:\1:/'
    done
}

check 'clang-format 14' formatted
check 'rooms include only lower floors' "$lint/floors.sh" gateway
check 'banned functions' "$lint/banned.sh" "${c_files[@]}"
check 'file and function length' "$lint/length.sh" "${c_files[@]}"
check 'header comments' "$lint/headers.sh" "${gateway_files[@]}"
check 'paths and open ends' "$lint/words.sh"
check 'shell syntax' shell_syntax
check 'the checks themselves' "$lint/self-test.sh"
if [ "${LINT_TIDY:-0}" = 1 ]; then
    check 'clang-tidy' "$lint/tidy.sh"
fi

if [ -s "$failures" ]; then
    echo
    cat "$failures"
    printf '%s lint failures\n' "$(wc -l <"$failures")"
    exit 1
fi
echo "lint: no failures"
