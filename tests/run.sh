#!/usr/bin/env bash
# `make test`: installs what is missing, builds, runs the unit programs and the end-to-end tests.
# --long runs the campaigns of many minutes too. The last line is `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
export O=${O:-build}
long=no
[ "${1:-}" != --long ] || long=yes

deploy/install-dependencies.sh build test || exit 1
make -j2 O="$O" all || exit 1

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
passed=0 failed=0

add() { # PASSED FAILED
    passed=$((passed + $1))
    failed=$((failed + $2))
}

UNIT_RESULT=$results/unit make --no-print-directory -j2 O="$O" check
if [ -s "$results/unit" ]; then
    read -r ok bad <"$results/unit"
    add "$ok" "$bad"
else
    echo "the unit programs did not build or run" >&2
    add 0 1
fi

# Two processes, each with databases and gateways of its own: most tests wait more than they compute. The
# long campaigns measure, so they run alone.
select=(-n 2 --dist loadfile)
[ "$long" = no ] || select=(-m 'long or not long')
# The interpreter of Debian: another one in the path does not see Debian's modules.
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest tests/e2e -q -rfE --tb=short \
    --junitxml="$results/e2e.xml" "${select[@]}"
if [ -s "$results/e2e.xml" ]; then
    count() { sed -nE "s/.*<testsuite [^>]*$1=\"([0-9]+)\".*/\1/p" "$results/e2e.xml" | head -1; }
    bad=$(($(count failures) + $(count errors)))
    add $(($(count tests) - $(count failures) - $(count errors) - $(count skipped))) "$bad"
else
    echo "the end-to-end tests did not run" >&2
    add 0 1
fi

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
