#!/bin/sh
# Certificates that the tests' own generator cannot make: RSA, SHA-1, version 1. Valid until 2046; needs openssl 3.
set -eu
cd "$(dirname "$0")"
days=7300
san='subjectAltName=DNS:a.example'

ca() { # name, bits
    openssl req -x509 -newkey "rsa:$2" -nodes -keyout "$1.key" -out "$1.pem" -days $days -sha256 \
        -subj "/CN=$1" -addext 'basicConstraints=critical,CA:TRUE'
}

leaf() { # name, CA, digest
    openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -subj '/CN=leaf' -out "$1.csr"
    printf '%s\n' "$san" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -days $days "-$3" -extfile "$1.ext" -out "$1.pem"
    rm "$1.csr" "$1.ext" "$1.key"
}

ca rsa2048-ca 2048
ca rsa1024-ca 1024
leaf rsa-sha256 rsa2048-ca sha256
leaf rsa-sha1 rsa2048-ca sha1
leaf by-rsa1024 rsa1024-ca sha256

# Version 1, as `openssl x509 -req -signkey` makes it without an extension file; its key is needed for a handshake.
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout version1.key -subj /CN=a.example -out version1.csr
openssl x509 -req -in version1.csr -signkey version1.key -days $days -sha256 -out version1.pem
rm ./*.csr rsa2048-ca.key rsa1024-ca.key
