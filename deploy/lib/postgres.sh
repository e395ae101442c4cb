# shellcheck shell=bash
# A private PostgreSQL 15: one cluster per folder, own port, own socket, run by an unprivileged user.
# Sourced after common.sh. Every function takes the folder DIR (absolute) first and keeps there:
#   pg.place   where data and socket really are (usually DIR/pg)
#   pg.port    the port, chosen once
#   secrets/   one password and one pgpass file per role, mode 0600

pg_bin=/usr/lib/postgresql/15/bin

pg_user=() # prefix that runs a command as the user who owns the cluster
if [ "$(id -u)" -eq 0 ]; then
    # PostgreSQL refuses to run as root.
    pg_user=(setpriv --reuid=postgres --regid=postgres --init-groups --)
fi

pg_fallback() { # DIR -> a folder for this checkout that every user can reach
    printf '/var/tmp/sluice-%s-%s' "$(id -u)" "$(printf '%s' "$1" | sha256sum | cut -c1-12)"
}

# The folder must be ours and no link: anybody may write to /var/tmp.
pg_own_folder() { # FOLDER
    mkdir -m 0711 "$1" 2>/dev/null || true
    [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] ||
        die "$1 exists and belongs to somebody else; remove it first"
}

pg_place() { # DIR -> prints the folder that holds data/ and socket/
    local dir=$1 place=$1/pg
    if [ ! -s "$dir/pg.place" ]; then
        mkdir -p "$place"
        if ! "${pg_user[@]}" test -x "$place"; then
            place=$(pg_fallback "$dir")
            pg_own_folder "$place"
            echo "PostgreSQL's user cannot reach $dir; its data goes to $place" >&2
        fi
        printf '%s\n' "$place" >"$dir/pg.place"
    fi
    cat "$dir/pg.place"
}

# A socket's path has at most 107 bytes; a deep checkout needs another place for it.
pg_socket() { # DIR -> prints the socket folder
    local socket
    socket=$(pg_place "$1")/socket
    [ "${#socket}" -le 90 ] || socket=$(pg_fallback "$1")/socket
    printf '%s' "$socket"
}

pg_owned() { # FOLDER MODE: makes it and gives it to the cluster's user
    mkdir -p "$1"
    chmod "$2" "$1"
    [ "$(id -u)" -ne 0 ] || chown postgres:postgres "$1"
}

pg_pid() { # DIR -> the postmaster's process id as its file says; empty when there is none
    [ ! -s "$1/pg.place" ] || "${pg_user[@]}" head -1 "$(pg_place "$1")/data/postmaster.pid" 2>/dev/null || true
}

pg_running() { # DIR
    local pid
    pid=$(pg_pid "$1")
    [ -n "$pid" ] && ! process_zombie "$pid" &&
        "${pg_user[@]}" "$pg_bin/pg_ctl" status -D "$(pg_place "$1")/data" >/dev/null 2>&1
}

pg_deserted() { # DIR: no process works in its data folder
    local data proc
    data=$(pg_place "$1")/data
    for proc in /proc/[0-9]*; do
        [ "$("${pg_user[@]}" readlink "$proc/cwd" 2>/dev/null)" != "$data" ] || return 1
    done
}

# Where nobody collects dead orphans (a container without init), a killed postmaster stays as a zombie
# and PostgreSQL takes it for a running server. Its lock files may go once its children are gone too.
pg_bury() { # DIR
    local pid
    pid=$(pg_pid "$1")
    [ -n "$pid" ] && process_zombie "$pid" || return 0
    wait_until 20 pg_deserted "$1" || die "processes of a killed PostgreSQL are still at work in $1"
    "${pg_user[@]}" rm -f "$(pg_place "$1")/data/postmaster.pid" "$(pg_socket "$1")"/.s.PGSQL.*
}

pg_create() { # DIR: initdb, once; an interrupted one leaves nothing that looks finished
    local dir=$1 place
    place=$(pg_place "$dir")
    [ ! -s "$place/data/PG_VERSION" ] || return 0
    pg_owned "$place/initdb" 0700
    rm -rf "$place/initdb/data"
    stored_password "$dir/secrets/sluice_admin" >"$place/initdb/password"
    [ "$(id -u)" -ne 0 ] || chown postgres "$place/initdb/password"
    "${pg_user[@]}" "$pg_bin/initdb" -D "$place/initdb/data" --username=sluice_admin \
        --pwfile="$place/initdb/password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
        --data-checksums >"$dir/initdb.log" 2>&1 || die "initdb failed; see $dir/initdb.log"
    mv "$place/initdb/data" "$place/data"
    rm -rf "$place/initdb"
}

pg_start() { # DIR: no-op while it runs; data survives a stop
    local dir=$1 place socket port
    [ -x "$pg_bin/initdb" ] || die "PostgreSQL 15 is missing; run deploy/install-dependencies.sh demo"
    (umask 077 && mkdir -p "$dir/secrets")
    ! pg_running "$dir" || return 0
    place=$(pg_place "$dir")
    pg_create "$dir"
    pg_bury "$dir"
    socket=$(pg_socket "$dir")
    [ "$socket" = "$place/socket" ] || pg_own_folder "$(dirname "$socket")"
    pg_owned "$socket" 0711
    pg_owned "$place/log" 0700
    # Somebody else may have taken the port while we were down.
    port=$(stored_port "$dir/pg.port")
    if ! port_free "$port"; then
        rm -f "$dir/pg.port"
        port=$(stored_port "$dir/pg.port")
    fi
    pg_configure "$place" "$socket" "$port"
    # 9>&-: a lock that a caller holds must not live on in the server.
    "${pg_user[@]}" "$pg_bin/pg_ctl" start -w -t 60 -D "$place/data" -l "$place/log/server.log" \
        >/dev/null 9>&- || die "PostgreSQL did not start; see $place/log/server.log"
}

pg_configure() { # PLACE SOCKET PORT: a file of its own, so that postgresql.conf stays Debian's
    cat >"$1/data/sluice.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $3
unix_socket_directories = '${2//\'/\'\'}'
max_connections = 200
max_prepared_transactions = 8
shared_buffers = 128MB
password_encryption = 'scram-sha-256'
fsync = on
synchronous_commit = on
jit = off
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
CONF
    chmod 0644 "$1/data/sluice.conf"
    grep -qx "include = 'sluice.conf'" "$1/data/postgresql.conf" ||
        echo "include = 'sluice.conf'" >>"$1/data/postgresql.conf"
}

pg_stop() { # DIR
    ! pg_running "$1" || "${pg_user[@]}" "$pg_bin/pg_ctl" stop -w -t 60 -m fast \
        -D "$(pg_place "$1")/data" >/dev/null
}

pg_remove() { # DIR: stops it and removes its data, wherever they are
    pg_stop "$1"
    [ ! -s "$1/pg.place" ] || rm -rf "$(pg_place "$1")/data" "$(pg_socket "$1")"
    rm -rf "$(pg_fallback "$1")" "$1/pg" "$1/pg.place" "$1/pg.port" "$1/secrets"
}

pg_pass() { # DIR ROLE: makes the role's password and pgpass file
    local password
    password=$(stored_password "$1/secrets/$2")
    [ -s "$1/secrets/$2.pgpass" ] ||
        (umask 077 && printf '*:*:*:%s:%s\n' "$2" "$password" >"$1/secrets/$2.pgpass")
}

# pg_conninfo DIR ROLE DATABASE [tcp]: through the unix socket, or over loopback.
pg_conninfo() {
    local host
    pg_pass "$1" "$2"
    host=$(pg_socket "$1")
    [ "${4:-}" != tcp ] || host=127.0.0.1
    printf 'host=%s port=%s dbname=%s user=%s passfile=%s' "$(conninfo_quote "$host")" \
        "$(cat "$1/pg.port")" "$3" "$2" "$(conninfo_quote "$1/secrets/$2.pgpass")"
}

pg_psql() { # DIR DATABASE ARGUMENTS...: as the cluster's administrator
    local dir=$1 database=$2
    shift 2
    PGCONNECT_TIMEOUT=10 PGOPTIONS='-c client_min_messages=warning' "$pg_bin/psql" -X -q -v ON_ERROR_STOP=1 \
        -d "$(pg_conninfo "$dir" sluice_admin "$database")" "$@"
}

# pg_login DIR ROLE [OPTIONS]: a login role with a password of its own, or a change of an old one.
pg_login() {
    local dir=$1 role=$2 options=${3:-} verb=CREATE
    pg_pass "$dir" "$role"
    [ -z "$(pg_psql "$dir" postgres -Atc "SELECT 1 FROM pg_roles WHERE rolname = '$role'")" ] || verb=ALTER
    # Through standard input: an argument would show the password in the process list.
    printf '%s ROLE %s LOGIN %s PASSWORD %s;\n' "$verb" "$role" "$options" \
        "$(sql_quote "$(cat "$dir/secrets/$role")")" | pg_psql "$dir" postgres -f -
}

pg_group() { # DIR ROLE: a role that nobody logs in as
    [ -n "$(pg_psql "$1" postgres -Atc "SELECT 1 FROM pg_roles WHERE rolname = '$2'")" ] ||
        pg_psql "$1" postgres -c "CREATE ROLE $2 NOLOGIN"
}

pg_database() { # DIR NAME OWNER: nobody but its owner may connect until told so
    [ -z "$(pg_psql "$1" postgres -Atc "SELECT 1 FROM pg_database WHERE datname = '$2'")" ] || return 0
    pg_psql "$1" postgres -c "CREATE DATABASE $2 OWNER $3 TEMPLATE template0 ENCODING UTF8 LOCALE 'C.UTF-8'" \
        -c "REVOKE ALL ON DATABASE $2 FROM PUBLIC"
}
