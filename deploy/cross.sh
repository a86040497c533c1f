#!/bin/sh
# Builds the release binary for another processor: `cross.sh arm64` or `cross.sh armhf`, on Debian.
# Called by make. The compiler and linker for that processor are Debian's gcc; Rust's standard
# library for it comes from rustup, or where rustup can't have it, from Debian (RUSTUP=false asks
# Debian at once).
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "cross.sh: $1" >&2
    exit 1
}

deb=${1:-}
case $deb in
    arm64) target=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu ;;
    armhf) target=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf ;;
    *) fail "usage: cross.sh arm64|armhf" ;;
esac
cargo=${CARGO:-cargo}
rustup=${RUSTUP:-rustup}
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
here=$PWD/target/cross/$deb
root=$here/root

host=$(dpkg --print-architecture 2>/dev/null) || fail "this needs Debian, or something like it: there is no dpkg"
[ "$host" != "$deb" ] || fail "this machine is $deb itself: make build"

if ! command -v $gnu-gcc >/dev/null || [ ! -e /usr/$gnu/include/stdio.h ]; then
    $sudo apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends \
            gcc-$gnu "libc6-dev-$deb-cross" || fail "can't install gcc-$gnu and libc6-dev-$deb-cross"
fi

# Whether that Rust has the standard library for the target.
has_std() {
    folder=$("$1" --print target-libdir --target $target 2>/dev/null) && ls "$folder"/libstd-*.rlib >/dev/null 2>&1
}

# apt with lists, state and cache of its own. It knows both architectures, and the machine's own
# dpkg need not: `dpkg --add-architecture` would change what every later apt-get on this machine
# fetches. Sources, keys and all checks are the machine's.
private() {
    program=$1
    shift
    "$program" -o Dir::State="$here/apt" -o Dir::State::status="$here/apt/status" -o Dir::Cache="$here/apt" \
        -o APT::Architecture="$host" -o APT::Architectures::="$host" -o APT::Architectures::="$deb" "$@"
}

# Debian's newest Rust, rustc-web, with the standard library for this machine and for the target.
# Everything is unpacked into $root and nothing is installed.
debian_rust() {
    echo "cross.sh: rustup has no Rust for $target here; fetching Debian's (about 150 MB, once)"
    rm -rf "$root" "$root.new"
    mkdir -p "$here/apt/lists/partial" "$here/apt/archives/partial"
    # What is installed already, so that apt fetches only what is missing.
    cp /var/lib/dpkg/status "$here/apt/status"
    # A source that can't be read matters only if it is the one that has Rust: see below.
    private apt-get update -qq >"$here/log" 2>&1 || true
    version=$(private apt-cache policy rustc-web | sed -n 's/^ *Candidate: //p')
    theirs=$(private apt-cache policy "libstd-rust-web-dev:$deb" | sed -n 's/^ *Candidate: //p')
    needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if [ "$version" != "$theirs" ] || ! dpkg --compare-versions "${version:-0}" ge "$needed"; then
        why=$(sed -n 's/^E: //p' "$here/log" | head -n 1)
        fail "Debian's rustc-web is ${version:-missing} here, ${theirs:-missing} for $deb; this needs $needed${why:+ ($why)}"
    fi
    rm -f "$here"/apt/archives/*.deb
    private apt-get install -qq -y --download-only --no-install-recommends "rustc-web=$version" >"$here/log" 2>&1 &&
        (cd "$here/apt/archives" && private apt-get download -qq "libstd-rust-web-dev:$deb=$version") >>"$here/log" 2>&1 ||
        fail "can't fetch rustc-web $version: $(sed -n 's/^E: //p' "$here/log" | head -n 1)"
    for package in "$here"/apt/archives/*.deb; do
        dpkg -x "$package" "$root.new"
    done
    rm -f "$here"/apt/archives/*.deb
    # The folder appears only when it is complete.
    mv "$root.new" "$root"
    # Use Debian's libraries, not those in cargo's environment.
    cat >"$here/rustc" <<END
#!/bin/sh
LD_LIBRARY_PATH='$(dirname "$root"/usr/lib/*/librustc_driver-*.so)' exec '$root/usr/bin/rustc' "\$@"
END
    chmod +x "$here/rustc"
}

# Without a network, rustup tries for a long time.
if [ "$rustup" = false ] || ! has_std rustc &&
    ! { timeout 120 "$rustup" target add $target >/dev/null 2>&1 && has_std rustc; }; then
    [ -e "$root" ] || debian_rust
    has_std "$here/rustc" || fail "$root is incomplete: remove it and try again"
    export RUSTC="$here/rustc"
fi

linker=CARGO_TARGET_$(echo $target | tr 'a-z-' 'A-Z_')_LINKER
export "$linker=$gnu-gcc"
# BUILD may be another command of cargo's that builds.
# shellcheck disable=SC2086
"$cargo" ${BUILD:-build} --release --locked --target $target
