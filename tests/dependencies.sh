#!/bin/sh
# What may come along with the server: no second runtime, no second TLS, nothing but what crates.io
# keeps for ever. Licenses and known vulnerabilities are looked at by `make audit`.
set -eu
cd "$(dirname "$0")/.."

elsewhere=$(grep '^source = ' Cargo.lock | grep -v 'registry+https://github.com/rust-lang/crates.io-index"' || true)
if [ -n "$elsewhere" ]; then
    echo "$elsewhere"
    echo "^ not from crates.io" >&2
    exit 1
fi

# What the release holds: neither the tests' crates nor what only builds.
tree=$(${CARGO:-cargo} tree --locked --edges normal --prefix none --format '{p}' | sort -u)
for name in tokio openssl openssl-sys native-tls aws-lc-rs aws-lc-sys; do
    if echo "$tree" | grep "^$name v"; then
        echo "^ not wanted: ${CARGO:-cargo} tree --invert $name" >&2
        exit 1
    fi
done
