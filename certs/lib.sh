# shellcheck shell=bash
# Functions for a small private PKI, openssl only. Sourced by make-pki.sh, issue.sh and the tests.
# The directory that every function takes first holds ca/ (key, index, serials) and the leaves.
# Keys are ECDSA P-256 and mode 0600. For trials: a real deployment brings its department's own CA.

pki_trust_domain=${SLUICE_TRUST_DOMAIN:-sluice.example}

pki_run() { # runs openssl quietly; shows what it said only when it fails
    local output
    if ! output=$(openssl "$@" 2>&1); then
        printf 'openssl %s failed:\n%s\n' "$1" "$output" >&2
        return 1
    fi
}

pki_key() { # FILE
    (umask 077 && pki_run genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
        -pkeyopt ec_param_enc:named_curve -out "$1")
}

pki_config() { # DIR -> writes DIR/ca/openssl.cnf
    cat >"$1/ca/openssl.cnf" <<CONF
[ca]
default_ca = this
[this]
dir = $1/ca
database = \$dir/index.txt
new_certs_dir = \$dir/issued
rand_serial = yes
crlnumber = \$dir/crlnumber
certificate = \$dir/ca.pem
private_key = \$dir/ca.key
default_md = sha256
default_days = 365
default_crl_days = 30
unique_subject = no
copy_extensions = none
policy = any
[any]
organizationName = optional
organizationalUnitName = optional
commonName = supplied
[req]
distinguished_name = empty
[empty]
CONF
}

pki_ca() { # DIR COMMON_NAME: keeps an existing CA
    local dir=$1
    (umask 077 && mkdir -p "$dir/ca/issued")
    chmod 0700 "$dir/ca"
    pki_config "$dir"
    [ -s "$dir/ca/ca.pem" ] && [ -s "$dir/ca/ca.key" ] && return 0
    : >"$dir/ca/index.txt"
    echo 01 >"$dir/ca/crlnumber"
    pki_key "$dir/ca/ca.key"
    pki_run req -new -x509 -config "$dir/ca/openssl.cnf" -key "$dir/ca/ca.key" -sha256 -days 3650 \
        -subj "/O=Sluice trial/CN=$2" -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' \
        -addext 'keyUsage=critical,keyCertSign,cRLSign' -addext 'subjectKeyIdentifier=hash' \
        -out "$dir/ca/ca.pem"
    cp "$dir/ca/ca.pem" "$dir/ca.pem"
}

# pki_issue DIR NAME USAGE SAN NOT_BEFORE NOT_AFTER
#   USAGE serverAuth or clientAuth; times as GNU date understands them ("now + 365 days").
# Writes DIR/NAME.key and DIR/NAME.pem, replacing what was there.
pki_issue() {
    local dir=$1 name=$2 usage=$3 san=$4 from until work
    from=$(date -u -d "$5" +%Y%m%d%H%M%SZ)
    until=$(date -u -d "$6" +%Y%m%d%H%M%SZ)
    work=$(mktemp -d "$dir/ca/issue.XXXXXX")
    cat >"$work/leaf.cnf" <<CONF
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = $usage
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = $san
CONF
    pki_key "$work/leaf.key"
    pki_run req -new -config "$dir/ca/openssl.cnf" -key "$work/leaf.key" \
        -subj "/O=Sluice trial/CN=$name" -out "$work/leaf.csr"
    # One at a time: openssl ca rewrites its index file.
    (
        flock 9
        pki_run ca -batch -notext -config "$dir/ca/openssl.cnf" -in "$work/leaf.csr" \
            -extfile "$work/leaf.cnf" -startdate "$from" -enddate "$until" -out "$work/leaf.pem"
    ) 9>"$dir/ca/lock"
    mv "$work/leaf.key" "$dir/$name.key"
    mv "$work/leaf.pem" "$dir/$name.pem"
    rm -rf "$work"
}

pki_revoke() { # DIR NAME: takes effect with the next pki_crl
    (
        flock 9
        pki_run ca -config "$1/ca/openssl.cnf" -revoke "$1/$2.pem"
    ) 9>"$1/ca/lock"
}

pki_crl() { # DIR: writes DIR/crl.pem, in one step, so that a reader never sees half a file
    (
        flock 9
        pki_run ca -config "$1/ca/openssl.cnf" -gencrl -out "$1/ca/crl.new"
        mv "$1/ca/crl.new" "$1/crl.pem"
    ) 9>"$1/ca/lock"
}

# True when DIR/NAME is there, stays valid for a week and was issued by this CA.
pki_good() { # DIR NAME
    [ -s "$1/$2.key" ] && [ -s "$1/$2.pem" ] &&
        openssl x509 -in "$1/$2.pem" -noout -checkend 604800 >/dev/null 2>&1 &&
        openssl verify -CAfile "$1/ca.pem" "$1/$2.pem" >/dev/null 2>&1
}

pki_system_uri() { # DEPARTMENT NAME
    printf 'spiffe://%s/dept/%s/system/%s' "$pki_trust_domain" "$1" "$2"
}

pki_officer_uri() { # DEPARTMENT NAME
    printf 'spiffe://%s/dept/%s/officer/%s' "$pki_trust_domain" "$1" "$2"
}

pki_secret() { # FILE: 32 random bytes; keeps an existing one, since losing it loses what it protects
    [ -s "$1" ] || (umask 077 && pki_run rand -out "$1" 32)
}

pki_ed25519() { # FILE: the audit signing key; keeps an existing one
    [ -s "$1" ] || (umask 077 && pki_run genpkey -algorithm ED25519 -out "$1")
}
