#!/usr/bin/env bash
# issue.sh DIR NAME URI [DAYS]
# Issues one client certificate from the CA that make-pki.sh made in DIR: DIR/NAME.pem, DIR/NAME.key.
# URI is the identity, for example spiffe://sluice.example/dept/health/system/triage.
# DAYS: 365 when absent; negative: a certificate that expired that many days ago;
# "Ns" (for example 20s): one that ends in N seconds.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ $# -lt 3 ] || [ $# -gt 4 ]; then
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
fi
dir=$(cd "$1" && pwd)
days=${4:-365}
[ -s "$dir/ca/ca.key" ] || { echo "issue: no CA in $1; run certs/make-pki.sh $1 first" >&2; exit 1; }
case "$days" in
*s) pki_issue "$dir" "$2" clientAuth "URI:$3" 'now - 1 minute' "now + ${days%s} seconds" ;;
-*) pki_issue "$dir" "$2" clientAuth "URI:$3" "now - $((-days + 30)) days" "now - ${days#-} days" ;;
*) pki_issue "$dir" "$2" clientAuth "URI:$3" 'now - 1 minute' "now + $days days" ;;
esac
