#!/usr/bin/env bash
# floors.sh GATEWAY: a room includes only itself and rooms on lower floors. Rooms on one floor do not
# include each other. Prints `file:line: …` per breach; silent when all is well.
set -euo pipefail
root=$1

awk '
BEGIN {
    # The floors of ARCHITECTURE.md.
    split("base:1 conf:2 net:2 pg:3 schema:4 authz:5 audit:5 model:5 rpc:6 transfer:7 " \
          "services:8 daemon:9 cli:9", list, " ")
    for (i in list) {
        split(list[i], part, ":")
        floor[part[1]] = part[2]
    }
    # Libraries that belong to one room and those above it.
    banned["base"] = "event2/|openssl/|libpq-fe\\.h|nghttp2/"
}
FNR == 1 {
    room = FILENAME
    sub(root "/", "", room)
    sub("/.*", "", room)
    if (!(room in floor)) {
        print FILENAME ":1: room " room " has no floor; add it to tests/lint/floors.sh"
    }
}
/^[ \t]*#[ \t]*include[ \t]*["<]/ {
    target = $0
    sub(/^[^"<]*["<]/, "", target)
    sub(/[">].*/, "", target)
    if (room in banned && target ~ banned[room]) {
        print FILENAME ":" FNR ": " room "/ must not include <" target ">"
    }
    if ($0 !~ /"/) next
    if (target !~ /\//) next
    other = target
    sub("/.*", "", other)
    if (other == room || !(other in floor)) next
    if (floor[other] >= floor[room]) {
        print FILENAME ":" FNR ": " room "/ (floor " floor[room] ") includes " target \
              " (floor " floor[other] "); include only lower floors"
    }
}
/^[ \t]*#[ \t]*include[ \t]*"\.\.?\// {
    print FILENAME ":" FNR ": include by room, not by relative path"
}
' root="$root" $(find "$root" -name '*.[ch]' | sort) /dev/null
