#!/usr/bin/env bash
# length.sh FILE...: no file above 800 lines, no function above 90 (the house aims at 70). Prints
# `file:line: …`. Relies on clang-format: a function's body opens with { in column one and ends
# with } in column one.
set -euo pipefail
[ $# -gt 0 ] || exit 0

awk -v file_max=800 -v function_max=90 '
function file_done() {
    if (name != "" && lines > file_max) print name ":" lines ": file of " lines " lines; at most " file_max
}
FNR == 1 { file_done(); name = FILENAME; start = 0 }
{ lines = FNR }
/^\{/ { start = FNR }
/^\}/ {
    # A table closes with "};" and may be as long as it needs to be.
    if (start && $0 !~ /^\};/ && FNR - start + 1 > function_max) {
        print FILENAME ":" start ": function of " FNR - start + 1 " lines; at most " function_max
    }
    start = 0
}
END { file_done() }
' "$@"
