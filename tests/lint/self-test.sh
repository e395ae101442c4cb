#!/usr/bin/env bash
# self-test.sh: feeds each check one wrong file and one right file. A check that finds nothing in the
# first, or something in the second, prints a line here.
set -uo pipefail
lint=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

must_fail() { # NAME COMMAND...
    local name=$1
    shift
    [ -n "$("$@" 2>/dev/null)" ] || echo "tests/lint/self-test.sh:1: $name is not caught"
}
must_pass() {
    local name=$1 output
    shift
    output=$("$@" 2>/dev/null)
    [ -z "$output" ] || echo "tests/lint/self-test.sh:1: $name is refused: $output"
}

room() { # NAME LINE...: a gateway with one file
    rm -rf "$work/gateway"
    mkdir -p "$work/gateway/$1"
    printf '%s\n' "${@:2}" >"$work/gateway/$1/x.c"
}
room schema '#include "services/lookup.h"'
must_fail 'an include of a higher floor' "$lint/floors.sh" "$work/gateway"
room net '#include "conf/options.h"'
must_fail 'an include of the same floor' "$lint/floors.sh" "$work/gateway"
room base '#include <event2/event.h>'
must_fail 'libevent in base/' "$lint/floors.sh" "$work/gateway"
room attic '#include "base/err.h"'
must_fail 'a room without a floor' "$lint/floors.sh" "$work/gateway"
room rpc '#include "schema/plan.h"' '#include "rpc/call.h"' '#include "sluice/v1/exchange.pb-c.h"' '#include <openssl/ssl.h>'
must_pass 'an include of a lower floor' "$lint/floors.sh" "$work/gateway"

printf 'void f(char *a, char *b) { strcpy(a, b); }\n' >"$work/bad.c"
must_fail 'a banned call' "$lint/banned.sh" "$work/bad.c"
printf '// strcpy(a, b) is banned\n/* sprintf(\n gets( */\nint my_strcpy(int a);\nconst char *s = "atoi(";\n' >"$work/good.c"
must_pass 'a banned name in a comment, a string or a longer name' "$lint/banned.sh" "$work/good.c"

{ echo 'void f(void)'; echo '{'; yes '    g();' | head -100; echo '}'; } >"$work/long.c"
must_fail 'a long function' "$lint/length.sh" "$work/long.c"
yes 'int a;' | head -801 >"$work/big.c"
must_fail 'a long file' "$lint/length.sh" "$work/big.c"
{ echo 'static const int t[] ='; echo '{'; yes '    1,' | head -100; echo '};'; } >"$work/table.c"
must_pass 'a long table' "$lint/length.sh" "$work/table.c"

printf '// TO%s: later\n' DO >"$work/open.c"
must_fail 'an open end' "$lint/words.sh" "$work/open.c"
printf '// TO%s(#12): later\n' DO >"$work/numbered.c"
must_pass 'an open end with its issue' "$lint/words.sh" "$work/numbered.c"
printf '%s\n' "-----BEGIN PRIVATE"" KEY-----" >"$work/key.pem"
must_fail 'a private key' "$lint/words.sh" "$work/key.pem"

printf 'int x;\n' >"$work/bare.h"
must_fail 'a header without its opening comment' "$lint/headers.sh" "$work/bare.h"
printf '// What it is for.\n#pragma once\n' >"$work/fine.h"
must_pass 'a header with its opening comment' "$lint/headers.sh" "$work/fine.h"
