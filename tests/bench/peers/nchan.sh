#!/bin/sh
# nchan.sh ADDRESS: becomes an nginx with nchan that listens there, with its files below target/.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
there="$here/../target/nchan"
mkdir -p "$there"
sed "s/ADDRESS/$1/" "$here/nchan.conf" >"$there/nginx.conf"
exec nginx -p "$there" -c "$there/nginx.conf"
