#!/usr/bin/env bash
# Runs cmocka programs one after the other and adds up their cases.
# Arguments: the programs. Exit status: 0 when every case of every program passed.
set -u
passed=0 failed=0
for program in "$@"; do
    output=$("$program" 2>&1)
    status=$?
    ok=$(printf '%s\n' "$output" | grep -c '^\[       OK \]')
    bad=$(printf '%s\n' "$output" | grep -cE '^\[  (FAILED|ERROR)  ?\] [^0-9 ]')
    if [ "$status" -ne 0 ]; then
        printf '%s\n' "$output" >&2
        [ "$bad" -eq 0 ] && bad=1
        failed=$((failed + bad))
        printf 'FAIL %s (exit %s)\n' "$program" "$status" >&2
    else
        printf 'ok   %-60s %4d cases\n' "$program" "$ok"
    fi
    passed=$((passed + ok))
done
[ -n "${UNIT_RESULT:-}" ] && printf '%s %s\n' "$passed" "$failed" > "$UNIT_RESULT"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
