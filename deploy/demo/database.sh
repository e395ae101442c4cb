#!/usr/bin/env bash
# database.sh up DIR [PART...]   starts PostgreSQL in DIR and loads what is missing
# database.sh down DIR           stops it; the data stay
# database.sh remove DIR         stops it and removes the data
# database.sh psql DIR DATABASE [ARGUMENTS...]   as the cluster's administrator
# Parts: control statistics villages received civil-affairs; all when none is named.
# `up` writes the connection strings to DIR/database.env, which a shell can source.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/common.sh"
. "$here/../lib/postgres.sh"
. "$here/../lib/data.sh"

usage() {
    sed -n '2,7s/^# //p' "$0" >&2
    exit 2
}
[ $# -ge 2 ] || usage
verb=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
shift 2
case "$verb" in
up)
    [ $# -gt 0 ] || set -- control statistics villages received civil-affairs
    data_up "$dir" "$@"
    cat "$dir/database.env"
    ;;
down) pg_stop "$dir" ;;
remove) pg_remove "$dir" ;;
psql) pg_psql "$dir" "$@" ;;
*) usage ;;
esac
