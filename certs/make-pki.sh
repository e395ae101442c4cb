#!/usr/bin/env bash
# make-pki.sh [--force] [--tests] [--instance NAME] DIR
# Makes a working private PKI for trials in DIR: CA, CRL, the gateway's certificate, three systems,
# three officers, the audit signing key and the gateway's secrets. Keeps what is there and good;
# --force starts again (an audit log signed with the old key then no longer verifies).
# --tests adds certificates that must be refused: expired, stranger (another CA), unknown-department,
# revoked, plain (no identity), foreign-domain.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

force=no tests=no instance=demo
while [ $# -gt 0 ]; do
    case "$1" in
    --force) force=yes ;;
    --tests) tests=yes ;;
    --instance) instance=$2; shift ;;
    -*) sed -n '2,7s/^# //p' "$0" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done
[ $# -eq 1 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }

if [ "$force" = yes ] && [ -d "$1/ca" ]; then
    rm -rf "$1/ca" "$1/stranger-ca"
    rm -f "$1"/*.pem "$1"/*.key
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
pki_ca "$dir" 'Sluice trial CA'

# Clients check the name localhost or the address; peers and logs read the URI.
if ! pki_good "$dir" gateway; then
    pki_issue "$dir" gateway serverAuth \
        "DNS:localhost,IP:127.0.0.1,IP:::1,URI:spiffe://$pki_trust_domain/gateway/$instance" \
        'now - 1 minute' 'now + 365 days'
fi

client() { # NAME URI
    pki_good "$dir" "$1" ||
        pki_issue "$dir" "$1" clientAuth "URI:$2" 'now - 1 minute' 'now + 365 days'
}
client health-triage "$(pki_system_uri health triage)"
client statistics-collector "$(pki_system_uri statistics collector)"
client civil-affairs-registry "$(pki_system_uri civil-affairs registry)"
for department in civil-affairs statistics health; do
    client "$department-officer" "$(pki_officer_uri "$department" data-officer)"
done

if [ "$tests" = yes ]; then
    client unknown-department "$(pki_system_uri forestry register)"
    client foreign-domain spiffe://elsewhere.example/dept/health/system/triage
    if ! pki_good "$dir" plain; then
        pki_issue "$dir" plain clientAuth DNS:triage.health.example 'now - 1 minute' 'now + 365 days'
    fi
    [ -s "$dir/expired.pem" ] ||
        "$here/issue.sh" "$dir" expired "$(pki_system_uri health triage)" -1
    if [ ! -s "$dir/revoked.pem" ]; then
        client revoked "$(pki_system_uri health triage)"
        pki_revoke "$dir" revoked
    fi
    if [ ! -s "$dir/stranger.pem" ]; then
        pki_ca "$dir/stranger-ca" 'Another CA'
        pki_issue "$dir/stranger-ca" stranger clientAuth "URI:$(pki_system_uri health triage)" \
            'now - 1 minute' 'now + 365 days'
        mv "$dir/stranger-ca/stranger.pem" "$dir/stranger-ca/stranger.key" "$dir/"
    fi
fi

pki_crl "$dir"
pki_ed25519 "$dir/audit-signing.key"
pki_secret "$dir/audit-salt.key"
pki_secret "$dir/audit-person.key"
pki_secret "$dir/token.key"
pki_secret "$dir/mask.key"
