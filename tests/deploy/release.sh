#!/bin/sh
# Two builds of one commit, in two folders, are the same to the bit: for this machine's processor, with package,
# image, npm's archive and the list of dependencies.
set -eu
cd "$(dirname "$0")/../.."
here=$PWD
host=$(dpkg --print-architecture)
tmp=$here/target/two-releases
rm -rf "$tmp"
for folder in one another-one; do
    git clone --quiet . "$tmp/$folder"
    (cd "$tmp/$folder" && sh deploy/release.sh "$host")
done
for file in "$tmp"/one/target/dist/*; do
    cmp "$file" "$tmp/another-one/target/dist/${file##*/}"
done
(cd "$tmp/one/target/dist" && sha256sum --check --quiet SHA256SUMS && ls -l)
rm -rf "$tmp"
