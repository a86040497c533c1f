#!/bin/sh
# Builds the image, which needs no registry, runs it as it wants to be run, and asks it by its own
# health check: plain, over TLS, under a name, and while its Redis is away. buildah changes only the
# root and the user here, so it works where no cgroups can be had; all traffic is on the loopback.
# The root is not mounted read-only as with docker run --read-only; nothing in it may be written.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
server=

fail() {
    echo "image: $*" >&2
    exit 1
}
# What buildah makes is thrown away with the folder.
store() {
    buildah --root "$tmp/root" --runroot "$tmp/run" --storage-driver vfs "$@"
}
# The process in the container: the last one of those that buildah has started.
process() {
    leaf=$server
    while child=$(pgrep -P "$leaf"); do
        leaf=$child
    done
    echo "$leaf"
}
clean() {
    [ -z "$server" ] || kill -s KILL "$(process)" || true
    store rm --all >/dev/null 2>&1 || true
    rm -rf "$tmp"
}
trap clean EXIT

# Docker's format: OCI's has no health checks.
store build --isolation chroot --format docker --file deploy/Dockerfile \
    --ignorefile deploy/Dockerfile.dockerignore --tag natterjack . >"$tmp/build" 2>&1 || {
    cat "$tmp/build" >&2
    fail 'it is not built'
}
box=$(store from natterjack)
# is FIELD VALUE: what the image says of itself.
is() {
    said=$(store inspect --format "{{.Docker.Config.$1}}" "$box")
    [ "$said" = "$2" ] || fail "its $1 is $said, not $2"
}
is Entrypoint '[/natterjack]'
is Cmd '[]'
is User 65534:65534
is StopSignal SIGTERM
is Healthcheck.Test '[CMD /natterjack --probe]'
is Volumes 'map[/data:{}]'
root=$(store mount "$box")
files=$(cd "$root" && find . -type f | sort | tr '\n' ' ')
[ "$files" = './LICENSE ./natterjack ' ] || fail "it holds $files"

# For a name that is not the loopback's.
mkdir "$tmp/tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=chat.example.org \
    -addext subjectAltName=DNS:chat.example.org -keyout "$tmp/tls/key.pem" -out "$tmp/tls/cert.pem" 2>/dev/null
chmod 755 "$tmp/tls"
chmod 644 "$tmp/tls/key.pem"

# The volume, as Docker makes it for this image.
mkdir -m 700 "$tmp/data"
chown 65534:65534 "$tmp/data"

# probe VARIABLES: the health check of a container with these variables.
probe() {
    # shellcheck disable=SC2086 # words
    store run --isolation chroot --volume "$tmp/tls:/tls:ro" $1 "$box" -- /natterjack --probe 2>"$tmp/probe"
}
# start NAME=VALUE …: a container with these variables, on a port of the loopback.
start() {
    port=$(shuf -i 10000-31999 -n 1)
    variables="--env NATTERJACK_LISTEN=127.0.0.1:$port"
    for variable in "$@"; do
        variables="$variables --env $variable"
    done
    # shellcheck disable=SC2086 # words
    buildah --root "$tmp/root" --runroot "$tmp/run" --storage-driver vfs run --isolation chroot \
        --volume "$tmp/tls:/tls:ro" --volume "$tmp/data:/data" $variables "$box" -- /natterjack 2>"$tmp/log" &
    server=$!
    until grep -q ": open http" "$tmp/log"; do
        kill -0 "$server" 2>/dev/null || {
            cat "$tmp/log" >&2
            fail "with $*: it does not start"
        }
        sleep 0.1
    done
}
# It stops in good order at the signal that the image names.
stop() {
    uid=$(awk '/^Uid:/ { print $2 }' "/proc/$(process)/status")
    [ "$uid" = 65534 ] || fail "it runs as $uid"
    kill -s TERM "$(process)"
    wait "$server" || fail "it ends with $?: $(cat "$tmp/log")"
    server=
}
healthy() {
    start "$@"
    probe "$variables" || fail "with $*: it is unhealthy: $(cat "$tmp/probe")"
    stop
    echo "image: healthy with $*"
}
# unhealthy WHY NAME=VALUE …
unhealthy() {
    why=$1
    shift
    start "$@"
    ! probe "$variables" || fail "with $*: it is healthy"
    grep -q "$why" "$tmp/probe" || fail "with $*: it does not say $why, but: $(cat "$tmp/probe")"
    stop
    echo "image: unhealthy with $*: $(head -1 "$tmp/probe")"
}

talk() {
    bash tests/deploy/talk.sh "$port" "$@"
}
# shellcheck source=tests/deploy/memory.sh
. tests/deploy/memory.sh

start
says ann 'before the upgrade'
stop
# An upgrade is another container with the same volume.
box=$(store from natterjack)
root=$(store mount "$box")
start
remembers 'before the upgrade'
says bob 'before the power cut'
kill -s KILL "$(process)"
wait "$server" || true
start
remembers 'before the upgrade' 'before the power cut'
stop
echo 'image: it remembers over an upgrade and a power cut'

healthy NATTERJACK_LOG=info
healthy NATTERJACK_TLS_CERT=/tls/cert.pem NATTERJACK_TLS_KEY=/tls/key.pem
healthy NATTERJACK_HOST=chat.example.org
unhealthy 'not ready, 503: ' REDIS_URL=redis://127.0.0.1:1
! probe '--env NATTERJACK_LISTEN=127.0.0.1:1' || fail 'it is healthy without a server'
grep -q "can't connect" "$tmp/probe" || fail "nobody is there, and it says: $(cat "$tmp/probe")"
written=$(find "$root" -user 65534 ! -path "$root/data" | head -1)
[ -z "$written" ] || fail "it has written $written"
