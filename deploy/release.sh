#!/bin/sh
# Builds all that a release has, into target/dist: `release.sh [amd64] [arm64] [armhf]`, on Debian, for these
# processors or for all three. Called by make.
#
# The same commit gives the same bytes, in any folder and at any time, if compiler and tools are the same.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "release.sh: $1" >&2
    exit 1
}

cargo=${CARGO:-cargo}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
dist=$PWD/target/dist
host=$(dpkg --print-architecture 2>/dev/null) || fail "this needs Debian, or something like it: there is no dpkg"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
# The time that archives name.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
rm -rf "$dist"
mkdir -p "$dist"

# build ARCHITECTURE TARGET: with the list of dependencies inside.
build() {
    if [ "$1" = "$host" ]; then
        "$cargo" auditable build --quiet --release --locked --target "$2"
    else
        CARGO=$cargo BUILD='auditable build' sh deploy/cross.sh "$1"
    fi
}

[ $# -gt 0 ] || set -- amd64 arm64 armhf
for architecture in "$@"; do
    case $architecture in
        amd64) target=x86_64-unknown-linux-gnu ;;
        arm64) target=aarch64-unknown-linux-gnu ;;
        armhf) target=armv7-unknown-linux-gnueabihf ;;
        *) fail "usage: release.sh [amd64] [arm64] [armhf]" ;;
    esac
    build "$architecture" $target
    "$cargo" deb --no-build --quiet --target $target --output "$dist/"
    # Beside the other one: flags of the compiler are for all that it builds. Relocations are packed, as
    # glibc before 2.36 could not have them in a dynamic one.
    (
        export CARGO_TARGET_DIR=target/static
        export RUSTFLAGS='-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs'
        build "$architecture" $target
    )
    install -m 755 target/static/$target/release/natterjack "$dist/natterjack-$version-$architecture"
done

# The image is for this machine's processor.
if [ -e "$dist/natterjack-$version-$host" ]; then
    install -D "$dist/natterjack-$version-$host" target/static/natterjack
    install -d target/static/data
    $sudo sh deploy/image.sh "natterjack:$version" "$dist/natterjack-$version-image.tar"
fi

(cd deploy/npm && npm pack --silent --pack-destination "$dist" >/dev/null)
# It names the folder of the sources.
"$cargo" cyclonedx --quiet --format json --spec-version 1.5 --target all --override-filename release.cdx
sed "s|file://$PWD|file://.|g" release.cdx.json >"$dist/natterjack-$version.cdx.json"
rm release.cdx.json
cd "$dist"
sha256sum -- * >SHA256SUMS
