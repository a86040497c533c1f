#!/bin/sh
# The package says which libc a binary needs: is it enough for this one? depends.sh BINARY
set -eu
needs=$(objdump -T "$1" | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' | sort -Vu | tail -1)
says=$(sed -n 's/^depends = .*libc6 (>= \([0-9.]*\)).*/\1/p' Cargo.toml)
if [ "$(printf '%s\n' "$needs" "$says" | sort -V | tail -1)" != "$says" ]; then
    echo "$1 needs libc6 $needs, the package asks for $says: see depends in Cargo.toml" >&2
    exit 1
fi
