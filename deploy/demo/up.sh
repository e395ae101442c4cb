#!/usr/bin/env bash
# `make demo`: installs what is missing, builds, makes a private PKI and a private PostgreSQL with two
# departments' data, starts the gateway, runs the main job step by step and leaves everything running.
# All it makes lies in build/demo; run it again and it goes on with what is there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/common.sh"
. "$here/../lib/postgres.sh"
. "$here/../lib/data.sh"
. "$here/../lib/gateway.sh"
. "$here/sharing.sh"

build=${O:-build}
case "$build" in /*) ;; *) build=$gateway_home/$build ;; esac
dir=$build/demo
sluice=$build/sluice

heading() { # ENGLISH CHINESE
    printf '\n== %s · %s\n' "$1" "$2"
}

prepare() {
    heading 'Dependencies' '依赖'
    "$here/../install-dependencies.sh" build demo
    heading 'Build' '编译'
    make -s -C "$gateway_home" -j2 O="${O:-build}" all
    echo "build: $("$sluice" version | head -1)"
}

set_up() {
    heading 'Certificates' '证书'
    "$gateway_home/certs/make-pki.sh" --instance demo "$dir/pki"
    echo "A private CA, the gateway, three systems and three data officers: ${dir#"$PWD"/}/pki"
    heading 'Databases' '数据库'
    data_up "$dir" control statistics villages received civil-affairs
    pg_psql "$dir" statistics -Atc "SELECT 'statistics 统计: ' || (SELECT count(*) FROM street) || ' streets, '
        || (SELECT count(*) FROM village) || ' villages (published data)'"
    pg_psql "$dir" civil_affairs -Atc "SELECT 'civil affairs 民政: ' || (SELECT count(*) FROM town)
        || ' towns (published data), ' || (SELECT count(*) FROM resident) || ' residents (invented)'"
    gateway_register "$dir" "$sluice" >"$dir/register.log" 2>&1 ||
        { cat "$dir/register.log" >&2; die "the control database could not be set up"; }
    make_schemas
    (. "$dir/database.env" && echo "statistics=$SLUICE_STATISTICS_WRITER_DATABASE") >"$dir/targets"
    heading 'Gateway' '网关'
    # A gateway of an older build is replaced; one that is up to date goes on.
    if gateway_running "$dir" && [ "$build/sluiced" -nt "$dir/state/gateway" ]; then
        gateway_stop "$dir"
    fi
    if ! gateway_running "$dir" || ! gateway_ready "$dir"; then
        gateway_stop "$dir"
        gateway_free_ports "$dir"
        gateway_config "$dir" "$build" "$dir/schemas"
        gateway_start "$dir" "$build/sluiced"
    fi
    write_env
    echo "systems  https://127.0.0.1:$(cat "$dir/ports/systems")   officers https://127.0.0.1:$(cat "$dir/ports/officers")"
    echo "operators http://127.0.0.1:$(cat "$dir/ports/ops")/readyz /healthz /metrics"
}

# The mappings of the checkout, and those that only the demo has.
make_schemas() {
    rm -rf "$dir/schemas.new"
    cp -R "$gateway_home/schemas" "$dir/schemas.new"
    cp -R "$here/schemas/." "$dir/schemas.new"
    cp "$build/schemas/canonical.pb" "$dir/schemas.new"
    rm -rf "$dir/schemas"
    mv "$dir/schemas.new" "$dir/schemas"
}

write_env() {
    {
        echo '# Made by `make demo`. Source it:  . build/demo/env'
        env_line SLUICE_ENDPOINT "https://127.0.0.1:$(cat "$dir/ports/systems")"
        env_line SLUICE_OFFICER_ENDPOINT "https://127.0.0.1:$(cat "$dir/ports/officers")"
        env_line SLUICE_OPS_ENDPOINT "http://127.0.0.1:$(cat "$dir/ports/ops")"
        env_line SLUICE_CA "$dir/pki/ca.pem"
        env_line SLUICE_CERT "$dir/pki/health-triage.pem"
        env_line SLUICE_KEY "$dir/pki/health-triage.key"
        env_line SLUICE_OFFICER_CERT "$dir/pki/civil-affairs-officer.pem"
        env_line SLUICE_OFFICER_KEY "$dir/pki/civil-affairs-officer.key"
        cat "$dir/database.env"
    } >"$dir/env.new"
    mv "$dir/env.new" "$dir/env"
}

# --- the main job -----------------------------------------------------------------------------
step=0
show() { # ENGLISH CHINESE
    step=$((step + 1))
    heading "$step. $1" "$2"
}

typed() { # the words of a command as one would type them
    local word
    for word in "$@"; do
        if [[ "$word" =~ ^[A-Za-z0-9_./:,@=-]+$ ]]; then
            printf ' %s' "$word"
        else
            printf " '%s'" "$word"
        fi
    done
}

run() { # prints the command as one would type it, then runs it
    local word
    printf '$ sluice'
    for word in "$@"; do
        case "$word" in
        *[!A-Za-z0-9_./:,=-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    "$sluice" "$@"
}

refused() { # the command must be refused
    local status=0
    run "$@" || status=$?
    [ "$status" -ne 0 ] || die "this call should have been refused"
    printf '(exit status %s)\n' "$status"
}

officer_of() { # DEPARTMENT COMMAND...: the same tool with another officer's certificate
    local department=$1
    shift
    SLUICE_OFFICER_CERT=$dir/pki/$department-officer.pem SLUICE_OFFICER_KEY=$dir/pki/$department-officer.key "$@"
}

# Grants once; a second `make demo` finds it.
agree() { # ID DEPARTMENT DATASET MODES PURPOSES
    local state
    state=$(officer_of "$2" "$sluice" agreement show "$1" --format json 2>/dev/null |
        sed -n 's/.*"state": *"\([A-Z]*\)".*/\1/p') || true # not there yet
    if [ "$state" = ACTIVE ]; then
        echo "agreement $1 is in force: health/triage reads $3"
        return 0
    fi
    set -- "$2" agreement grant --id "$1" --consumer health/triage --dataset "$3" --fields all \
        --modes "$4" --purposes "$5" --days 30
    printf '$ sluice%s\n' "$(typed "${@:2}")"
    officer_of "$1" "$sluice" "${@:2}" --legal-basis '政务数据共享条例' --format csv | tail -1
}

raw() { # DATABASE SQL: the department's own rows, as it wrote them
    printf '%s=> %s\n' "$1" "$2"
    pg_psql "$dir" "$1" --pset=footer=off -c "$2"
}

main_job() {
    # shellcheck disable=SC1091
    . "$dir/env"
    show 'Officers agree to share' '数据专员授权共享'
    agree demo-streets statistics statistics/streets lookup,query medical-triage,address-check
    agree demo-towns civil-affairs civil-affairs/towns lookup,query medical-triage,address-check
    agree demo-residents civil-affairs civil-affairs/residents lookup medical-triage

    show 'A lookup: one street by its code' '按代码查一个街道'
    run lookup statistics/streets 110101001 --purpose medical-triage

    show 'A stream: all 41,352 streets' '全部 41,352 个街道，流式'
    local started ended count
    started=$(date +%s%N)
    printf '$ sluice query statistics/streets --purpose address-check --format jsonl | wc -l\n'
    count=$("$sluice" query statistics/streets --purpose address-check --format jsonl | wc -l)
    ended=$(date +%s%N)
    printf '%s\n(%s ms)\n' "$count" $(((ended - started) / 1000000))
    [ "$count" -eq 41352 ] || die "expected 41352 streets"

    show 'A filtered stream' '带条件的查询'
    run query statistics/streets --filter 'county_code = "110105" AND code >= "110105041"' \
        --purpose address-check --limit 5

    show 'One place as both departments write it' '同一个地方，两个部门的写法'
    raw statistics "SELECT code, name, \"areaCode\", \"cityCode\", \"provinceCode\" FROM street WHERE code = '120119203'"
    raw civil_affairs "SELECT code, name, province, city, area, town FROM town WHERE code = '120119' AND town = '203000'"
    echo '... and as the gateway answers, in one form; each name stays as its department delivered it'
    echo '    网关给出的统一记录（名称保持各部门原样）:'
    run lookup statistics/streets 120119203 --purpose medical-triage --format jsonl
    run lookup civil-affairs/towns 120119203 --purpose medical-triage --format jsonl
    echo 'They even disagree on codes 代码也会不一致:'
    run query statistics/streets --filter 'name = "首都机场街道"' --fields code,name --purpose address-check --format jsonl
    run query civil-affairs/towns --filter 'name = "首都机场街道"' --fields code,name --purpose address-check --format jsonl

    show 'An invented person: dirty as stored, clean as answered' '虚构居民：原样与规范化'
    raw civil_affairs "SELECT id, sfzh, xm, xb, mz, csrq, lxdh FROM resident WHERE id = 7"
    run lookup civil-affairs/residents 230303194706069998 --purpose medical-triage

    show 'A row that breaks the rules is not guessed at' '不合规的行不猜测，进入隔离'
    raw civil_affairs "SELECT id, sfzh, csrq FROM resident WHERE id = 199"
    refused lookup civil-affairs/residents 500242195501229985 --purpose medical-triage

    show 'A purpose that nobody granted' '未授权的用途被拒绝'
    refused lookup statistics/streets 110101001 --purpose marketing

    show 'An agreement revoked' '撤销授权'
    local id
    id=demo-$(date +%s)-$RANDOM
    officer_of statistics "$sluice" agreement grant --id "$id" --consumer health/triage \
        --dataset statistics/villages --fields all --modes lookup --purposes medical-triage --days 1 \
        --format jsonl >/dev/null
    wait_until 5 "$sluice" lookup statistics/villages 110101001001 --purpose medical-triage --agreement "$id" \
        --format jsonl >/dev/null 2>&1 || true
    run lookup statistics/villages 110101001001 --purpose medical-triage --agreement "$id" --format jsonl
    printf '$ sluice%s\n' "$(typed agreement revoke "$id" --reason 'End of the demonstration')"
    officer_of statistics "$sluice" agreement revoke "$id" --reason 'End of the demonstration' --format csv | tail -1
    local revoked_at
    revoked_at=$(date +%s%N)
    wait_until 2 revoked "$id" || die "the revocation was not in force after 2 s"
    echo "... refused $((($(date +%s%N) - revoked_at) / 1000000)) ms later; the promise is one second, on every worker 承诺一秒内全部生效:"
    refused lookup statistics/villages 110101001001 --purpose medical-triage --agreement "$id"

    sharing
    move_towns

    show 'The audit log, newest last' '审计日志'
    officer_of statistics run audit tail --lines 10
    prove
}

# As a system of the statistics bureau; the mover is killed while it works.
move_towns() {
    show 'A whole dataset moves: all towns into a table of the statistics bureau' '整个数据集搬运：民政的乡级区划进入统计部门的表'
    local id
    if ! officer_of civil-affairs "$sluice" agreement show demo-move --format json 2>/dev/null | grep -q '"ACTIVE"'; then
        officer_of civil-affairs run agreement grant --id demo-move --consumer statistics/collector \
            --dataset civil-affairs/towns --fields all --modes transfer --purposes address-check --days 30 --format csv |
            tail -1
    fi
    (
        export SLUICE_CERT=$dir/pki/statistics-collector.pem SLUICE_KEY=$dir/pki/statistics-collector.key
        # Slow enough to be half-way when the mover dies.
        id=$("$sluice" transfer create civil-affairs/towns statistics/towns_received --purpose address-check \
            --rows-per-second 20000 --format json | sed -n 's/^ *"id": *"\([^"]*\)".*/\1/p')
        printf '$ sluice transfer create civil-affairs/towns statistics/towns_received --purpose address-check --rows-per-second 20000\n%s\n' "$id"
        echo 'kill -9 of the mover; another one takes the job over 强行终止搬运进程，由另一个接手:'
        wait_until 5 moving "$id" || true
        kill_mover
        run transfer watch "$id"
        run transfer verify "$id"
    )
    raw statistics "SELECT count(*), min(received_at) = max(received_at) AS all_at_once FROM town_received"
    echo 'Three rows change at the owner and arrive with the next copy 提供方改动三行，随下一次搬运到达:'
    local three="(SELECT ctid FROM town ORDER BY code, town LIMIT 3)"
    pg_psql "$dir" civil_affairs -q -c "UPDATE town SET name = name || '（演示改名）' WHERE ctid IN $three"
    SLUICE_CERT=$dir/pki/statistics-collector.pem SLUICE_KEY=$dir/pki/statistics-collector.key run transfer create \
        civil-affairs/towns statistics/towns_received --purpose address-check --follow --format csv | tail -1
    raw statistics "SELECT code, name FROM town_received WHERE name LIKE '%（演示改名）'"
    # The published names stay as they were published.
    pg_psql "$dir" civil_affairs -q -c "UPDATE town SET name = replace(name, '（演示改名）', '')
        WHERE name LIKE '%（演示改名）'"
}

moving() { # TRANSFER: rows are on their way
    "$sluice" transfer show "$1" --format json | grep -q 'TRANSFER_RUNNING\|TRANSFER_SUCCEEDED'
}

kill_mover() {
    local gateway pid
    read -r gateway _ <"$dir/state/gateway"
    for pid in $(cat "/proc/$gateway/task/$gateway/children"); do
        ! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- '--role=mover' || kill -9 "$pid"
    done
}

prove() { # evidence of the newest exchange, checked without the gateway; then with one byte flipped
    show 'Evidence that proves itself, offline' '可离线核验的证据'
    local index evidence=$dir/evidence.zip policy=$dir/policy.txt at
    "$sluice" audit policy "$dir/pki/audit-signing.key" --origin sluice.example/audit/demo >"$policy"
    index=$(officer_of statistics "$sluice" audit tail --lines 100 --format csv |
        sed -n 's/^\([0-9]*\),[^,]*,DECISION,ALLOWED,.*ExchangeService\/Lookup.*/\1/p' | tail -1)
    officer_of statistics run audit evidence "$index" --out "$evidence"
    env -i "$sluice" audit verify "$evidence" --policy "$policy"
    echo "One byte of the entry flipped 条目中的一个字节被改动:"
    at=$(grep -abo 'medical-triage\|address-check' "$evidence" | head -1 | cut -d: -f1)
    cp "$evidence" "$dir/flipped.zip"
    printf 'X' | dd of="$dir/flipped.zip" bs=1 seek="$at" conv=notrunc status=none
    refused audit verify "$dir/flipped.zip" --policy "$policy"
}

revoked() { # AGREEMENT
    ! "$sluice" lookup statistics/villages 110101001001 --purpose medical-triage --agreement "$1" \
        >/dev/null 2>&1
}

next_things() {
    local relative=${dir#"$PWD"/} tool=${sluice#"$PWD"/}
    heading 'Everything is running. Try next' '一切已就绪，接下来可以试试'
    cat <<TEXT
  . $relative/env

  # JSON with nothing but curl 只用 curl:
  curl --cacert "\$SLUICE_CA" --cert "\$SLUICE_CERT" --key "\$SLUICE_KEY" \\
    -H 'Content-Type: application/json' \\
    -d '{"dataset":"civil-affairs/residents","key":"230303194706069998","purpose":"medical-triage"}' \\
    "\$SLUICE_ENDPOINT/sluice.v1.ExchangeService/Lookup"

  # gRPC from Python, generated code only:
  /usr/bin/python3 deploy/demo/client.py

  # the command line tool 命令行:
  $tool catalog list
  $tool query civil-affairs/towns --filter 'county_code = "110105"' --purpose address-check
  $tool audit tail --follow
  $tool doctor

  make demo-down    # stops what this started 停止演示
TEXT
}

prepare
mkdir -p "$dir"
exec 9<"$dir" # two runs of one checkout follow each other
flock 9
set_up
main_job
next_things
