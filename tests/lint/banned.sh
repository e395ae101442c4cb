#!/usr/bin/env bash
# banned.sh FILE...: calls that cannot be used safely, or that the house replaces by something better.
# Prints `file:line: …`. Comments and string literals do not count.
set -euo pipefail
[ $# -gt 0 ] || exit 0

awk '
# Tests and the command line tool have no loop to block; tests may run a shell.
function allowed(reason) {
    return (reason == "blocks the loop" && FILENAME ~ /(^|\/)(tests|gateway\/cli)\//) ||
           (reason == "runs a shell" && FILENAME ~ /(^|\/)tests\//)
}
BEGIN {
    why["strcpy"] = why["strcat"] = why["sprintf"] = why["vsprintf"] = "writes without a limit"
    why["gets"] = why["scanf"] = "reads without a limit"
    why["strtok"] = "keeps hidden state"
    why["atoi"] = why["atol"] = why["atoll"] = why["atof"] = "cannot report an error"
    why["alloca"] = "grows the stack"
    why["regexec"] = "has no limit on data; use PCRE2 with match and depth limits"
    why["PQexec"] = why["PQexecParams"] = why["PQcancel"] = why["PQconnectdb"] = "blocks the loop"
    why["system"] = why["popen"] = "runs a shell"
}
FNR == 1 { in_comment = 0 }
{
    line = $0
    gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
    while (1) {
        if (in_comment) {
            if (!match(line, /\*\//)) { line = ""; break }
            line = substr(line, RSTART + 2)
            in_comment = 0
        }
        if (!match(line, /\/\*/)) break
        head = substr(line, 1, RSTART - 1)
        rest = substr(line, RSTART + 2)
        if (match(rest, /\*\//)) {
            line = head " " substr(rest, RSTART + 2)
        } else {
            line = head
            in_comment = 1
            break
        }
    }
    sub(/\/\/.*/, "", line)
    while (match(line, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
        name = substr(line, RSTART, RLENGTH)
        sub(/[ \t]*\($/, "", name)
        # `in` first: naming why[name] would make it exist.
        if (name in why && !allowed(why[name])) print FILENAME ":" FNR ": " name "() " why[name]
        line = substr(line, RSTART + RLENGTH)
    }
}
' "$@"
