#!/usr/bin/env bash
# Makes a development CA, once, and a server certificate for the broker, anew each time.
#
#   ops/broker/make-certificates.sh FOLDER NAME_OR_ADDRESS...
#
# FOLDER gets ca.crt (give it to stations as hq.ca_file), ca.key (keep it off the broker),
# server.crt and server.key. For development and trials: a company's own CA does this for real.
set -euo pipefail

(($# >= 2)) || { echo "usage: $0 FOLDER NAME_OR_ADDRESS..." >&2; exit 2; }
command -v openssl >/dev/null || { echo "openssl is missing: apt-get install openssl" >&2; exit 1; }
folder=$1
shift
umask 077
mkdir -p "$folder"
cd "$folder"

names=()
for name; do
    if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then names+=("IP:$name"); else names+=("DNS:$name"); fi
done
san=$(IFS=,; echo "${names[*]}")

if [[ ! -e ca.key ]]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
        -subj "/CN=Voltwarden development CA $(openssl rand -hex 4)" \
        -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout ca.key -out ca.crt 2>/dev/null
fi
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
    -keyout server.key -out server.csr 2>/dev/null
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" \
    -days 365 -out server.crt -extfile - 2>/dev/null <<CONFIG
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=$san
authorityKeyIdentifier=keyid
subjectKeyIdentifier=hash
CONFIG
rm server.csr
chmod 644 ca.crt server.crt
echo "$folder: ca.crt, server.crt and server.key for $san" >&2
