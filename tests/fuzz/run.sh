#!/usr/bin/env bash
# Runs fuzz programs one after the other, FUZZ_SECONDS each, and says what each did and the total.
# Arguments: their names. O: the output folder. Exit status 1 when one found something; what it found
# lies in $O/found/<program>.
set -u
seconds=${FUZZ_SECONDS:-20}
total=0 failed=0
for name in "$@"; do
    found=$O/found/$name corpus=tests/fuzz/corpus/${name#fuzz_}
    mkdir -p "$found" "$O/corpus/$name"
    seeds=()
    [ -d "$corpus" ] && seeds=("$corpus")
    log=$O/$name.log
    # What is new goes to the output folder; the corpus of the project stays small and chosen.
    "$O/$name" -max_total_time="$seconds" -print_final_stats=1 -rss_limit_mb=4096 -timeout=10 \
        -artifact_prefix="$found/" "$O/corpus/$name" "${seeds[@]}" >"$log" 2>&1
    status=$?
    done=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    total=$((total + ${done:-0}))
    if [ "$status" -ne 0 ]; then
        tail -n 40 "$log" >&2
        failed=$((failed + 1))
    fi
    printf '%-4s %-24s %12s executions\n' "$([ "$status" -eq 0 ] && echo ok || echo FAIL)" "$name" "${done:-0}"
done
printf '%d programs, %d failed, %d executions\n' "$#" "$failed" "$total"
[ "$failed" -eq 0 ]
