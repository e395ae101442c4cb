# shellcheck shell=bash
# Small functions that the demo and the tests share. Sourced; expects `set -euo pipefail`.

die() { # a plain sentence, in whatever script sources this
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# wait_until SECONDS COMMAND...: asks again every 50 ms until the command succeeds; false when late.
wait_until() {
    local deadline=$(($(date +%s%N) + $1 * 1000000000))
    shift
    until "$@"; do
        [ "$(date +%s%N)" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

port_free() { # PORT on loopback
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Below the range from which the kernel takes ports for outgoing connections, so that nobody gets
# ours between a stop and the next start.
free_port() {
    local port tries=0
    while [ $tries -lt 200 ]; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if port_free "$port"; then
            echo "$port"
            return 0
        fi
        tries=$((tries + 1))
    done
    die "no free port between 20000 and 32000 on 127.0.0.1"
}

# stored_port FILE: the port in FILE, chosen at the first call.
stored_port() {
    [ -s "$1" ] || free_port >"$1"
    cat "$1"
}

process_start() { # PID -> start time in clock ticks since boot; empty when there is no such process
    # The second field is the program's name in brackets and may hold spaces.
    sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}

process_zombie() { # PID: dead, but not collected yet
    [ "$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f1)" = Z ]
}

process_record() { # FILE PID
    printf '%s %s\n' "$2" "$(process_start "$2")" >"$1"
}

# True while the very process in FILE lives: a number that was given to another does not count.
process_alive() { # FILE
    local pid start
    [ -s "$1" ] || return 1
    read -r pid start <"$1"
    [ -n "$start" ] && [ "$(process_start "$pid")" = "$start" ] && ! process_zombie "$pid"
}

process_gone() { # FILE
    ! process_alive "$1"
}

new_password() {
    od -An -N18 -tx1 /dev/urandom | tr -d ' \n'
}

# stored_password FILE: mode 0600, made at the first call.
stored_password() {
    [ -s "$1" ] || (umask 077 && new_password >"$1")
    cat "$1"
}

sql_quote() { # a value as an SQL literal; only for values that these scripts make themselves
    printf "'%s'" "${1//\'/\'\'}"
}

conninfo_quote() { # a value inside a libpq connection string
    if [[ "$1" =~ ^[A-Za-z0-9_./:-]+$ ]]; then
        printf '%s' "$1"
        return 0
    fi
    local value=${1//\\/\\\\}
    printf "'%s'" "${value//\'/\\\'}"
}

env_line() { # NAME VALUE -> a line for a file that a shell can source
    printf "export %s='%s'\n" "$1" "${2//\'/\'\\\'\'}"
}
