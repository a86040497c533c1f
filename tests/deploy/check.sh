#!/bin/sh
# Looks at what the package installs with the tools made for it. The service must be exposed no more
# than 1.5 of 10 in the eyes of systemd-analyze, which calls anything below 5 OK.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The units as they will be found: with the binary and the man page in their place.
dpkg-deb -x target/debian/natterjack_*_"$(dpkg --print-architecture)".deb "$tmp"
sed "s|/usr/bin/natterjack|$tmp/usr/bin/natterjack|" "$tmp/usr/lib/systemd/system/natterjack.service" \
    >"$tmp/natterjack.service"
cp "$tmp/usr/lib/systemd/system/natterjack.socket" "$tmp"
said=$(systemd-analyze verify --man=no --recursive-errors=no "$tmp/natterjack.service" "$tmp/natterjack.socket" 2>&1)
if [ -n "$said" ]; then
    echo "$said" >&2
    exit 1
fi
systemd-analyze security --offline=true --threshold=15 --no-pager deploy/natterjack.service | tail -1

mandoc -Tlint -Wwarning deploy/natterjack.1
man --warnings -E UTF-8 -l -Tutf8 -Z deploy/natterjack.1 >/dev/null

bash -n deploy/completions/natterjack.bash
zsh -n deploy/completions/_natterjack
fish -n deploy/completions/natterjack.fish

shellcheck deploy/debian/postinst deploy/debian/postrm deploy/release.sh deploy/image.sh deploy/scale.sh tests/deploy/*.sh
shellcheck -s bash deploy/completions/natterjack.bash

lintian --allow-root --fail-on error,warning target/debian/natterjack_*.deb
