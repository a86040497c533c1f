#!/bin/sh
# Builds the image of what `make static` has built and writes it to a file for `docker load`: image.sh NAME FILE.
# Needs no registry and no Docker.
set -eu
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# What buildah makes is thrown away with the folder.
store() {
    buildah --root "$tmp/root" --runroot "$tmp/run" --storage-driver vfs "$@"
}
# Docker's format: OCI's has no health checks.
store build --quiet --isolation chroot --format docker --timestamp "${SOURCE_DATE_EPOCH:-0}" \
    --file deploy/Dockerfile --ignorefile deploy/Dockerfile.dockerignore --tag "$1" . >/dev/null
store push --quiet "$1" "docker-archive:$tmp/image.tar:$1"

# The same files always make the same image: the names of the containers in which it was built go.
mkdir "$tmp/image"
cd "$tmp/image"
tar -xf "$tmp/image.tar"
old=$(sed 's/.*"Config":"\([^"]*\)".*/\1/' manifest.json)
sed -E 's/"(Hostname|container)":"[^"]*"/"\1":""/g' "$old" >config
new=$(sha256sum config | cut -d ' ' -f 1).json
mv config "$new"
sed -i "s/$old/$new/" manifest.json
layer=$(sed 's/.*"Layers":\["\([^"]*\)"\].*/\1/' manifest.json)
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$2" manifest.json "$new" "$layer"
