#!/usr/bin/env bash
# `make demo-down`: stops exactly what `make demo` of this checkout started. The data stay under
# build/demo, so that the next `make demo` is quick; --remove deletes them too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/common.sh"
. "$here/../lib/postgres.sh"
. "$here/../lib/data.sh"
. "$here/../lib/gateway.sh"

build=${O:-build}
case "$build" in /*) ;; *) build=$gateway_home/$build ;; esac
dir=$build/demo

if [ ! -d "$dir" ]; then
    echo "Nothing to stop: this checkout has no demo. 没有需要停止的演示。"
    exit 0
fi
if gateway_running "$dir"; then
    read -r pid _ <"$dir/state/gateway"
    gateway_stop "$dir"
    echo "Stopped the gateway (pid $pid). 网关已停止。"
else
    rm -f "$dir/state/gateway"
    echo "The gateway was not running. 网关未在运行。"
fi
if pg_running "$dir"; then
    pid=$(pg_pid "$dir")
    pg_stop "$dir"
    echo "Stopped PostgreSQL (pid $pid). 数据库已停止。"
else
    echo "PostgreSQL was not running. 数据库未在运行。"
fi
if [ "${1:-}" = --remove ]; then
    pg_remove "$dir"
    rm -rf "$dir"
    echo "Removed $dir. 演示数据已删除。"
fi
