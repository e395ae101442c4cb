# shellcheck shell=bash
# Configures, starts and stops one sluiced of this checkout. Sourced after common.sh, postgres.sh and
# data.sh. DIR (absolute) is the folder that data_up and make-pki.sh (DIR/pki) filled; here it gets
#   sluiced.yaml, sluiced.log, ports/{systems,officers,ops}, state/gateway (pid and start time)

gateway_home=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

yaml_quote() {
    local value=${1//\\/\\\\}
    printf '"%s"' "${value//\"/\\\"}"
}

# The sources of DIR/sources (NAME=CONNINFO a line), else those of the demo.
gateway_sources() { # DIR
    local line
    if [ -s "$1/sources" ]; then
        cat "$1/sources"
    else
        printf '%s\n' "statistics=$SLUICE_STATISTICS_DATABASE" "civil-affairs=$SLUICE_CIVIL_AFFAIRS_DATABASE"
    fi | while IFS= read -r line; do
        printf '  - name: %s\n    database: %s\n' "${line%%=*}" "$(yaml_quote "${line#*=}")"
    done
}

# The targets of DIR/targets (NAME=CONNINFO a line); none without that file.
gateway_targets() { # DIR
    local line
    [ -s "$1/targets" ] || return 0
    echo 'targets:'
    while IFS= read -r line; do
        printf '  - name: %s\n    database: %s\n' "${line%%=*}" "$(yaml_quote "${line#*=}")"
    done <"$1/targets"
}

# gateway_config DIR BUILD [SCHEMAS]: BUILD is the output folder that holds schemas/canonical.pb; SCHEMAS
# is a folder of mappings with its own canonical.pb.
gateway_config() {
    local dir=$1 build=$2 pki=$1/pki systems officers ops
    local schemas=${3:-$gateway_home/schemas} descriptors=${3:+$3/canonical.pb}
    mkdir -p "$dir/ports" "$dir/state"
    systems=$(stored_port "$dir/ports/systems")
    officers=$(stored_port "$dir/ports/officers")
    ops=$(stored_port "$dir/ports/ops")
    # The connection strings hold no password, only the name of a file that does.
    (
        # shellcheck disable=SC1091
        . "$dir/database.env"
        cat <<YAML
# Made by deploy/lib/gateway.sh. Every key is explained in docs/configuration.md.
instance: demo
trust_domain: sluice.example
workers: 2
listen:
  systems: 127.0.0.1:$systems
  officers: 127.0.0.1:$officers
  ops: 127.0.0.1:$ops
tls:
  certificate: $(yaml_quote "$pki/gateway.pem")
  key: $(yaml_quote "$pki/gateway.key")
  client_ca: $(yaml_quote "$pki/ca.pem")
  crl: $(yaml_quote "$pki/crl.pem")
control:
  database: $(yaml_quote "$SLUICE_WORKER_DATABASE")
audit:
  database: $(yaml_quote "$SLUICE_AUDITOR_DATABASE")
  origin: sluice.example/audit/demo
  signing_key: $(yaml_quote "$pki/audit-signing.key")
  salt_key: $(yaml_quote "$pki/audit-salt.key")
  person_key: $(yaml_quote "$pki/audit-person.key")
  checkpoint_file: $(yaml_quote "$dir/state/checkpoint")
token_key: $(yaml_quote "$pki/token.key")
mask_key: $(yaml_quote "$pki/mask.key")
schemas:
  directory: $(yaml_quote "$schemas")
  descriptors: $(yaml_quote "${descriptors:-$build/schemas/canonical.pb}")
sources:
$(gateway_sources "$dir")
$(gateway_targets "$dir")
log:
  level: info
  format: logfmt
YAML
    ) >"$dir/sluiced.yaml.new"
    mv "$dir/sluiced.yaml.new" "$dir/sluiced.yaml"
}

# gateway_register DIR SLUICE: control tables, three departments and their data officers. Repeatable.
gateway_register() {
    local dir=$1 sluice=$2 department title title_zh
    (
        # shellcheck disable=SC1091
        . "$dir/database.env"
        "$sluice" control init --database "$SLUICE_CONTROL_DATABASE" \
            --migrations "$gateway_home/schemas/control"
        while IFS='|' read -r department title title_zh; do
            "$sluice" department add "$department" --title "$title" --title-zh "$title_zh"
            "$sluice" officer add "$department/data-officer" --title 'Data officer'
        done <<'LIST'
civil-affairs|Civil affairs|民政
statistics|Statistics|统计
health|Health|卫生健康
LIST
    )
}

gateway_ready() { # DIR
    curl -fsS --noproxy '*' --max-time 2 -o /dev/null "http://127.0.0.1:$(cat "$1/ports/ops")/readyz" 2>/dev/null
}

gateway_ready_or_dead() {
    gateway_ready "$1" || process_gone "$1/state/gateway"
}

gateway_running() { # DIR
    process_alive "$1/state/gateway"
}

# gateway_start DIR SLUICED: waits until it is ready, at most 20 s.
gateway_start() {
    local dir=$1 sluiced=$2
    # A process group of its own: Ctrl-C in the demo's terminal is not meant for the gateway.
    setsid "$sluiced" --config "$dir/sluiced.yaml" </dev/null >>"$dir/sluiced.log" 2>&1 9>&- &
    process_record "$dir/state/gateway" $!
    wait_until 20 gateway_ready_or_dead "$dir" || true
    if ! gateway_ready "$dir"; then
        tail -n 20 "$dir/sluiced.log" >&2
        gateway_stop "$dir"
        die "sluiced did not become ready; its log is $dir/sluiced.log"
    fi
}

# gateway_stop DIR: SIGTERM drains; what has not ended 40 s later is killed.
gateway_stop() {
    local pid
    if process_alive "$1/state/gateway"; then
        read -r pid _ <"$1/state/gateway"
        kill -TERM "$pid" 2>/dev/null || true
        wait_until 40 process_gone "$1/state/gateway" || kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$1/state/gateway"
}

# Ports that another program took while we were down are chosen anew.
gateway_free_ports() { # DIR
    local file
    for file in "$1"/ports/*; do
        [ -s "$file" ] || continue
        port_free "$(cat "$file")" || rm -f "$file"
    done
}
