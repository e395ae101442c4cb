#!/usr/bin/env bash
# run.sh [--rounds N] [--quick] [--bulk] [--name NAME]: `make bench`. Measures the gateway beside C++ gRPC servers
# over the same PostgreSQL, in the same run, and prints the ratios; writes build/bench/NAME.{json,txt}.
#   --rounds N   interleaved rounds (default 5; about 50 s each)
#   --quick      2 short rounds: a look, not a result
#   --bulk       the bulk copies between two databases only
#   --name NAME  of the files (default exchange)
# Everything else lies in build/bench/work: databases, certificates, two gateways (one with
# `audit.enabled: false`), logs. It listens on loopback only and stops what it started.
# Ends with 0 when everything ran and every answer was right, however fast it was.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lib=$here/../../deploy/lib
. "$lib/common.sh"
. "$lib/postgres.sh"
. "$lib/data.sh"
. "$lib/gateway.sh"

usage() {
    sed -n '2,7s/^# //p' "$0" >&2
    exit 2
}
rounds=5 seconds=2 name=exchange only=()
while [ $# -gt 0 ]; do
    case "$1" in
    --rounds) rounds=${2:-}; shift ;;
    --quick) rounds=2 seconds=0.5 ;;
    --bulk) only=(--bulk) ;;
    --name) name=${2:-}; shift ;;
    *) usage ;;
    esac
    shift
done
[[ "$rounds" =~ ^[1-9][0-9]?$ && "$name" =~ ^[A-Za-z0-9._-]+$ ]] || usage

build=${O:-build}
case "$build" in /*) ;; *) build=$gateway_home/$build ;; esac
out=$build/bench
work=$out/work
sluice=$build/sluice

prepare() {
    "$gateway_home/deploy/install-dependencies.sh" build demo bench
    # O as it was given: the dependency files name their targets by it.
    make -s -C "$gateway_home" -j2 O="${O:-build}" all
    make -s -C "$gateway_home" -j2 -f tests/bench/build.mk OUT="$work/bin"
    for driver in row_program sample_export audit_append; do
        make -s -C "$gateway_home" -j2 O="${O:-build}" "${O:-build}/tests/bench/drivers/$driver"
        ln -sf "$build/tests/bench/drivers/$driver" "$work/bin/$driver"
    done
    ln -sf "$sluice" "$work/bin/sluice"
}

# The tables of a C++ team that keeps an audit log of its own.
peer_audit() {
    pg_login "$work" bench_peer
    pg_database "$work" bench_audit bench_peer
    pg_psql "$work" bench_audit -c 'SET ROLE bench_peer' -c 'DROP TABLE IF EXISTS peer_audit' \
        -c "CREATE TABLE peer_audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL DEFAULT now(), caller text NOT NULL, dataset text NOT NULL,
            purpose text NOT NULL, key_digest bytea NOT NULL, outcome smallint NOT NULL,
            records integer NOT NULL)"
    env_line BENCH_AUDIT_DATABASE "$(pg_conninfo "$work" bench_peer bench_audit tcp)" >>"$work/database.env"
}

# The tables that bulk copies fill, and the mapping of one of them beside those of the checkout.
bulk() {
    data_loaded "$work" civil_affairs village_received ||
        pg_psql "$work" civil_affairs -1 -f - <"$here/bulk/civil_affairs.sql"
    rm -rf "$work/schemas"
    cp -R "$gateway_home/schemas" "$work/schemas"
    cp -R "$here/bulk/departments" "$work/schemas"
    cp "$build/schemas/canonical.pb" "$work/schemas"
    mkdir -p "$work/audited"
    (. "$work/database.env" && echo "civil-affairs=$SLUICE_CIVIL_AFFAIRS_OWNER_DATABASE") >"$work/audited/targets"
}

# A new control database in every run, so that every run starts with an empty audit log.
databases() {
    pg_start "$work"
    pg_psql "$work" postgres -c 'DROP DATABASE IF EXISTS control WITH (FORCE)'
    rm -f "$work"/{audited,unaudited}/state/checkpoint
    data_up "$work" control statistics villages civil-affairs
    peer_audit
    bulk
    pg_psql "$work" statistics -c 'VACUUM (ANALYZE) street' -c 'VACUUM (ANALYZE) village'
    gateway_register "$work" "$sluice" >"$work/register.log" 2>&1 ||
        { cat "$work/register.log" >&2; die "the control database could not be set up"; }
}

# Two gateways of one control database; deploy/lib/gateway.sh wants a folder for each.
gateway_up() { # NAME
    local dir=$work/$1
    mkdir -p "$dir"
    ln -sfn ../pki "$dir/pki"
    cp "$work/database.env" "$dir/database.env"
    : >"$dir/sluiced.log"
    gateway_free_ports "$dir"
    gateway_config "$dir" "$build" "$work/schemas"
    [ "$1" = audited ] || sed -i 's/^audit:$/audit:\n  enabled: false/' "$dir/sluiced.yaml"
    gateway_start "$dir" "$build/sluiced"
}

grant() { # ID DATASET MODE CONSUMER PURPOSE
    SLUICE_OFFICER_ENDPOINT=https://127.0.0.1:$(cat "$work/audited/ports/officers") \
        SLUICE_CA=$work/pki/ca.pem SLUICE_OFFICER_CERT=$work/pki/statistics-officer.pem \
        SLUICE_OFFICER_KEY=$work/pki/statistics-officer.key \
        "$sluice" agreement grant --id "$1" --consumer "$4" --dataset "$2" --fields all \
        --modes "$3" --purposes "$5" --days 1 --format jsonl >/dev/null
}

stop_all() {
    gateway_stop "$work/unaudited"
    gateway_stop "$work/audited"
    pg_stop "$work"
}

prepare
mkdir -p "$work"
exec 9<"$work" # two runs of one checkout follow each other
flock 9
trap stop_all EXIT
trap 'exit 130' INT TERM
stop_all # what a run that was killed left behind
rm -f "$work/peers.log"
"$gateway_home/certs/make-pki.sh" --instance demo "$work/pki"
databases
gateway_up audited
gateway_up unaudited
grant bench-streets statistics/streets lookup health/triage medical-triage
grant bench-villages statistics/villages query health/triage medical-triage
grant bench-bulk statistics/villages transfer civil-affairs/registry address-check
# The interpreter of Debian: another one in the path does not see Debian's modules.
PYTHONDONTWRITEBYTECODE=1 timeout --foreground -k 10 $((120 + rounds * 150)) /usr/bin/python3 \
    "$here/measure.py" "$work" "$out" --rounds "$rounds" --seconds "$seconds" --name "$name" "${only[@]}"
