#!/usr/bin/env bash
# trial.sh up DIR --schemas FOLDER --control CONNINFO --source NAME=CONNINFO...
# trial.sh down DIR
# A private gateway on loopback, to try mappings before they go into service. FOLDER is a schemas folder with
# its canonical.pb; CONNINFO are connection strings, the control one of an empty database whose owner may
# create roles. DIR gets certificates, configuration, log and DIR/env, which names an officer of the first
# department in FOLDER and a system of a consumer called trial. PGHOST, PGPORT, PGUSER and PGPASSFILE fill in what
# a connection string leaves out. `down` stops the gateway; databases stay.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/lib/common.sh"
. "$here/lib/gateway.sh"
. "$gateway_home/certs/lib.sh"

usage() {
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
}

# The gateway does not read libpq's variables: what it connects to stands in its configuration.
complete() { # CONNINFO
    local text=$1
    [[ "$text" == *host=* || -z "${PGHOST:-}" ]] || text+=" host=$(conninfo_quote "$PGHOST")"
    [[ "$text" == *port=* || -z "${PGPORT:-}" ]] || text+=" port=$(conninfo_quote "$PGPORT")"
    [[ "$text" == *user=* || -z "${PGUSER:-}" ]] || text+=" user=$(conninfo_quote "$PGUSER")"
    [[ "$text" == *passfile=* || -z "${PGPASSFILE:-}" ]] || text+=" passfile=$(conninfo_quote "$PGPASSFILE")"
    printf '%s' "$text"
}

certificate() { # NAME URI
    pki_good "$dir/pki" "$1" || pki_issue "$dir/pki" "$1" clientAuth "URI:$2" 'now - 1 minute' 'now + 365 days'
}

register() {
    local department
    "$build/sluice" control init --database "$control" --migrations "$gateway_home/schemas/control"
    for department in "${departments[@]}" trial; do
        "$build/sluice" department add "$department" --title "$department"
        "$build/sluice" officer add "$department/data-officer" --title 'Data officer'
    done
}

write_env() {
    {
        echo '# Made by deploy/trial.sh.'
        env_line SLUICE_ENDPOINT "https://127.0.0.1:$(cat "$dir/ports/systems")"
        env_line SLUICE_OFFICER_ENDPOINT "https://127.0.0.1:$(cat "$dir/ports/officers")"
        env_line SLUICE_CA "$dir/pki/ca.pem"
        env_line SLUICE_CERT "$dir/pki/trial-system.pem"
        env_line SLUICE_KEY "$dir/pki/trial-system.key"
        env_line SLUICE_OFFICER_CERT "$dir/pki/${departments[0]}-officer.pem"
        env_line SLUICE_OFFICER_KEY "$dir/pki/${departments[0]}-officer.key"
        env_line SLUICE_CONTROL_DATABASE "$control"
    } >"$dir/env"
}

up() {
    local department
    [ -n "$schemas" ] && [ -n "$control" ] && [ "${#sources[@]}" -gt 0 ] || usage
    schemas=$(cd "$schemas" && pwd) || exit 1
    [ -s "$schemas/canonical.pb" ] || die "$schemas has no canonical.pb; make it with protoc --descriptor_set_out"
    mapfile -t departments < <(cd "$schemas/departments" && printf '%s\n' */ | tr -d /)
    control=$(complete "$control")
    gateway_stop "$dir"
    printf '%s\n' "${sources[@]}" >"$dir/sources"
    "$gateway_home/certs/make-pki.sh" --instance demo "$dir/pki" >"$dir/pki.log"
    certificate trial-system "$(pki_system_uri trial system)"
    for department in "${departments[@]}"; do
        certificate "$department-officer" "$(pki_officer_uri "$department" data-officer)"
    done
    {
        env_line SLUICE_CONTROL_DATABASE "$control"
        env_line SLUICE_WORKER_DATABASE "$control"
        env_line SLUICE_AUDITOR_DATABASE "$control"
    } >"$dir/database.env"
    SLUICE_CONTROL_DATABASE=$control register >"$dir/register.log" 2>&1 ||
        { cat "$dir/register.log" >&2; die "the control database could not be set up"; }
    gateway_free_ports "$dir"
    gateway_config "$dir" "$build" "$schemas"
    gateway_start "$dir" "$build/sluiced"
    write_env
}

[ $# -ge 2 ] || usage
action=$1 dir=$2 schemas='' control='' sources=() departments=()
shift 2
build=${O:-build}
case "$build" in /*) ;; *) build=$gateway_home/$build ;; esac
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case "$1" in
    --schemas) schemas=$2 ;;
    --control) control=$2 ;;
    --source) sources+=("${2%%=*}=$(complete "${2#*=}")") ;;
    *) usage ;;
    esac
    shift 2
done
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
case "$action" in
up) up ;;
down) gateway_stop "$dir" ;;
*) usage ;;
esac
