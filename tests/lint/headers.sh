#!/usr/bin/env bash
# headers.sh FILE...: a header opens with a comment that says what it is for, before anything else,
# and is guarded. Prints `file:line: …`.
set -euo pipefail
for file in "$@"; do
    case "$file" in *.h) ;; *) continue ;; esac
    first=$(head -1 "$file")
    case "$first" in
    '//'* | '/*'*) ;;
    *) echo "$file:1: a header opens with a comment: purpose, owner, callbacks, limits, what it does not do" ;;
    esac
    grep -qE '^#pragma once|^#ifndef [A-Z0-9_]+$' "$file" || echo "$file:1: no include guard"
done
