# shellcheck shell=bash
# The demo's agreement step: an application from draft to active, masked fields, a verification, and a
# revocation that stops a running stream. Sourced by up.sh, whose functions it uses. People, reasons and
# the calendar are invented.

# Another officer of the requesting department: nobody signs off what they drafted.
add_colleague() {
    # shellcheck disable=SC1091
    . "$gateway_home/certs/lib.sh"
    pki_good "$dir/pki" health-colleague-officer ||
        pki_issue "$dir/pki" health-colleague-officer clientAuth "URI:$(pki_officer_uri health colleague)" \
            'now - 1 minute' 'now + 365 days'
    "$sluice" officer add health/colleague --title 'Data officer, invented' >/dev/null 2>&1
}

# Deadlines are in working days; a year without a calendar would be shown without them.
load_calendars() {
    local year
    for year in "$(date +%Y)" "$(($(date +%Y) + 1))"; do
        ! "$sluice" calendar list --format csv | grep -q "^$year," || continue
        printf 'year: %s\nsource: "synthetic, for the demo: weekends and the first of January"\noff: [%s-01-01]\n' \
            "$year" "$year" >"$dir/calendar-$year.yaml"
        "$sluice" calendar load "$dir/calendar-$year.yaml" >/dev/null
    done
}

take() { # OFFICER STEP ID [OPTION...]: prints the command, the state that follows, and a deadline
    printf '[%s] $ sluice%s\n' "$1" "$(typed application "${@:2}")"
    officer_of "$1" "$sluice" application "${@:2}" --format json >"$dir/application.json"
    sed -n 's/^  "state": *"\([A-Z_]*\)".*/    → \1/p; s/^ *"due": *"\([0-9-]*\)".*/    due 期限 \1/p' "$dir/application.json"
}

member() { # NAME of the application at hand
    sed -n 's/^  "'"$1"'": *"\([^"]*\)".*/\1/p' "$dir/application.json"
}

apply_for_residents() {
    show 'An application, from draft to an agreement in force (all invented)' '共享申请：从起草到生效（均为合成数据）'
    local id
    add_colleague
    load_calendars
    take health request --consumer health/triage --dataset civil-affairs/residents \
        --fields id_number,name,sex,birth_date,mobile --masks 'name=keep-first:1,birth_date=year,mobile=keep-last:4' \
        --purposes emergency-admission --modes lookup,verify --days 1 --networks 127.0.0.0/8 \
        --legal-basis '政务数据共享条例 第二十条（演示）' --scenario 'invented: emergency admission' --scope 'invented: one desk'
    id=$(member id)
    refused_by health application sign-off "$id"
    sleep 1 # each worker that serves has read who is an officer within its lease, 900 ms
    take health-colleague sign-off "$id"
    take health submit "$id"
    take civil-affairs decide "$id" agree --reason 'within the conditions of the catalogue'
    take civil-affairs provision "$id"
    take civil-affairs activate "$id"
    shared=$(member agreement)
}

refused_by() { # OFFICER COMMAND...
    printf '[%s] ' "$1"
    officer_of "$1" refused "${@:2}"
}

use_what_is_agreed() {
    show 'A lookup under it: name, birth date and number are masked' '依此查询：姓名、出生日期、电话已脱敏'
    run lookup civil-affairs/residents 411327198610149989 --purpose emergency-admission --agreement "$shared"
    show 'A verification: yes or no, never the value' '核验：只答是否一致，不返回数据'
    run verify civil-affairs/residents 411327198610149989 sex=FEMALE --purpose emergency-admission --agreement "$shared" || true
    run verify civil-affairs/residents 411327198610149989 sex=MALE --purpose emergency-admission --agreement "$shared" || true
    echo 'What is masked cannot be verified either, or it could be guessed 已脱敏的字段不能核验:'
    refused verify civil-affairs/residents 411327198610149989 birth_date=1986-10-14 --purpose emergency-admission \
        --agreement "$shared"
}

stop_a_stream() {
    show 'A revocation stops a stream that is running' '撤销授权，正在进行的数据流随即停止'
    local id got reader
    id=demo-stream-$(date +%s)-$RANDOM
    rm -f "$dir/stream.begun"
    officer_of statistics "$sluice" agreement grant --id "$id" --consumer health/triage --dataset statistics/villages \
        --fields code,name --modes query --purposes medical-triage --days 1 --format jsonl >/dev/null
    wait_until 5 streams "$id" || die "the agreement was not known after 5 s"
    printf '$ sluice%s | (a slow reader)\n' "$(typed query statistics/villages --purpose medical-triage --agreement "$id")"
    { "$sluice" query statistics/villages --purpose medical-triage --agreement "$id" --format jsonl 2>"$dir/stream.err" ||
        true; } | read_slowly >"$dir/stream.count" &
    reader=$!
    wait_until 10 test -e "$dir/stream.begun" || die "the stream did not begin"
    printf '[statistics] $ sluice%s\n' "$(typed agreement revoke "$id" --reason 'End of the demonstration')"
    officer_of statistics "$sluice" agreement revoke "$id" --reason 'End of the demonstration' --format csv >/dev/null
    wait "$reader" # not for the gateway, which this shell may have started
    got=$(<"$dir/stream.count")
    echo "$got of 620,573 rows had arrived when it ended 数据流终止时已到达的行数:"
    head -1 "$dir/stream.err"
    [ "$got" -lt 620573 ] && [ -s "$dir/stream.err" ] || die "the stream should have been stopped"
    refused query statistics/villages --purpose medical-triage --agreement "$id" --limit 1
}

streams() { # AGREEMENT
    "$sluice" query statistics/villages --purpose medical-triage --agreement "$1" --limit 1 --format jsonl >/dev/null 2>&1
}

read_slowly() { # counts rows, a thousand at a time: some ten seconds for all of them
    local rows=0 block
    while mapfile -t -n 1000 block && [ "${#block[@]}" -gt 0 ]; do
        rows=$((rows + ${#block[@]}))
        touch "$dir/stream.begun"
        sleep 0.015
    done
    echo "$rows"
}

sharing() {
    apply_for_residents
    use_what_is_agreed
    stop_a_stream
}
