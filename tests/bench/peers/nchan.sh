#!/bin/sh
# nchan.sh [FOLDER] ADDRESS: becomes an nginx with nchan that listens there, with its files below
# target/; over TLS with the cert.pem and key.pem of a folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
there="$here/../target/nchan"
listen=$1 certificate=
if [ $# -gt 1 ]; then
    listen="$2 ssl"
    certificate="ssl_certificate $1/cert.pem; ssl_certificate_key $1/key.pem;"
fi
mkdir -p "$there"
sed "s/ADDRESS/$listen/; s|CERTIFICATE|$certificate|" "$here/nchan.conf" >"$there/nginx.conf"
exec nginx -p "$there" -c "$there/nginx.conf"
