#!/bin/bash
# A Debian with systemd, booted in a container of its own (systemd-nspawn), gets the package: it is
# installed, serves, chats, waits for its Redis, is upgraded while people connect, removed and
# purged. Needs root; the machine's own packages are not touched. The plain Debian is made once and
# kept in target/deb-test/bookworm; all that happens to it goes into a layer that is thrown away.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/target/deb-test
plain=$here/bookworm
first=$(ls target/debian/natterjack_*_"$(dpkg --print-architecture)".deb)

step() { printf '\n== %s\n' "$*"; }
fail() {
    printf '!! %s\n' "$*" >&2
    inside journalctl --no-pager -n 40 -u natterjack.service -u natterjack.socket >&2 || true
    exit 1
}

if [ ! -d "$plain" ]; then
    step "a plain Debian"
    rm -rf "$plain.part"
    mkdir -p "$here"
    debootstrap --variant=minbase \
        --include=systemd,systemd-sysv,init-system-helpers,dbus,adduser,curl,redis-server \
        bookworm "$plain.part" http://deb.debian.org/debian >"$here/debootstrap.log"
    rm -f "$plain.part"/var/cache/apt/archives/*.deb
    mv "$plain.part" "$plain"
fi

layer=$(mktemp -d "$here/run.XXXXXX")
mkdir "$layer/up" "$layer/work" "$layer/root"
clean() {
    [ -z "${boot:-}" ] || kill -s KILL "$boot" 2>/dev/null || true
    wait 2>/dev/null || true
    umount "$layer/root" 2>/dev/null || umount -l "$layer/root" || true
    rm -rf "$layer"
}
trap clean EXIT
mount -t overlay overlay -o "lowerdir=$plain,upperdir=$layer/up,workdir=$layer/work" "$layer/root"
cp "$first" "$layer/root/root/first.deb"
step "the same with a higher version"
dpkg-deb --raw-extract "$first" "$layer/next"
sed -i 's/^Version: .*/Version: 99.0-1/' "$layer/next/DEBIAN/control"
dpkg-deb --root-owner-group --build "$layer/next" "$layer/root/root/next.deb" >/dev/null

switch_on() {
    systemd-nspawn --quiet --directory="$layer/root" --boot --keep-unit --register=no --private-network \
        --machine=natterjack-test </dev/null >"$here/boot.log" 2>&1 &
    boot=$!
    eventually "Debian boots" has_begun
    eventually "Debian is up" inside systemctl is-active multi-user.target
}
inside() { nsenter --target "$leader" --all --wdns=/root -- env -i PATH="$PATH" DEBIAN_FRONTEND=noninteractive "$@"; }
eventually() {
    local what=$1 end=$((SECONDS + 30))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "$what: not within 30 seconds"
        sleep 0.1
    done
}
# The service, or another unit, as systemd sees it.
show() { inside systemctl show --value -p "$1" "${2:-natterjack.service}"; }
is() { [ "$(show "$1" "${3:-natterjack.service}")" = "$2" ]; }
must() { is "$@" || fail "${3:-natterjack.service} has $1=$(show "$1" "${3:-natterjack.service}"), not $2"; }
status() { inside curl -s -m 20 -o /dev/null -w '%{http_code}' "http://127.0.0.1:8080$1"; }
answers() { [ "$(status "$1")" = "$2" ]; }
files() { inside find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/tmp \
    -o -path /root -o -path '/var/log*' -o -path '/var/lib/redis*' -o -path '/var/cache/*' \) -prune -o -print | sort; }
leader=
has_begun() { leader=$(pgrep -P "$boot" | head -1) && inside test -S /run/dbus/system_bus_socket; }
talk() { inside bash talk 8080 "$@"; }
# shellcheck source=tests/deploy/memory.sh
. tests/deploy/memory.sh

step "boot"
switch_on
inside systemctl disable --now --quiet redis-server
files >"$layer/before"

step "install: enabled, started, ready"
inside dpkg -i first.deb
must ActiveState active
must ActiveState active natterjack.socket
must UnitFileState enabled
must UnitFileState enabled natterjack.socket
must Result success
[ "$(status /readyz)" = 200 ] || fail "/readyz says $(status /readyz)"
inside id natterjack
[ "$(inside stat -c '%a %U' /etc/natterjack/redis-password)" = "600 root" ] || fail "the password is not root's alone"
[ "$(inside stat -c %U /proc/"$(show MainPID)")" = natterjack ] || fail "it does not run as its user"
show StatusText

step "two people chat"
cp tests/deploy/talk.sh "$layer/root/root/talk"
talk /chat/bar '' 60 >"$layer/bar" &
eventually "bar is welcomed" grep -qa 'Welcome bar!' "$layer/bar"
talk /chat/foo hello 1 >/dev/null || true
eventually "bar hears foo" grep -qa 'foo: hello' "$layer/bar"
counts() { [[ $(show StatusText) == "$1 peer"* ]]; }
eventually "the status counts bar" counts 1

says ann 'before the upgrade'
[ "$(inside stat -c '%a %U' /var/lib/natterjack)" = "700 natterjack" ] || fail "others can read what is said"

step "upgrade, while people connect: nobody is refused"
old=$(show MainPID)
opened=$(show ActiveEnterTimestampMonotonic natterjack.socket)
cat >"$layer/root/root/knock" <<'KNOCK'
while [ ! -e /root/enough ]; do
    curl -s -m 20 -o /dev/null -w '%{http_code} %{errormsg}\n' http://127.0.0.1:8080/healthz
done
KNOCK
inside bash knock >"$layer/knocks" &
knocks=$!
inside bash knock >>"$layer/knocks2" &
knocks2=$!
eventually "people connect" test -s "$layer/knocks"
inside dpkg -i next.deb
sleep 1
touch "$layer/root/root/enough"
wait $knocks $knocks2
cat "$layer/knocks2" >>"$layer/knocks"
echo "$(wc -l <"$layer/knocks") connections, $(grep -cv '^200' "$layer/knocks" || true) refused"
! grep -v '^200' "$layer/knocks" || fail "somebody was refused"
[ "$(show MainPID)" != "$old" ] || fail "the old one still runs"
[ "$(show ActiveEnterTimestampMonotonic natterjack.socket)" = "$opened" ] || fail "the socket was closed"
must ActiveState active
must NRestarts 0
inside dpkg -s natterjack | grep -q '^Version: 99.0-1$' || fail "not the higher version"

remembers 'before the upgrade'

step "a power cut: what was acknowledged is still there"
says ann 'before the power cut'
kill -s KILL "$leader"
wait "$boot" || true
switch_on
eventually "it is ready" answers /readyz 200
remembers 'before the upgrade' 'before the power cut'
says bob 'after the power cut'
remembers 'before the upgrade' 'before the power cut' 'after the power cut'

step "behind Redis, with its password as a credential"
inside sed -i 's/^# *requirepass .*/requirepass sesame/' /etc/redis/redis.conf
inside sed -i 's|^#NATTERJACK_REDIS=.*|NATTERJACK_REDIS=redis://127.0.0.1:6379|' /etc/natterjack/natterjack.env
inside sh -c 'echo sesame >/etc/natterjack/redis-password'
inside systemctl restart --no-block natterjack
eventually "it waits for its Redis" is ActiveState activating
eventually "it says so" answers /readyz 503
show StatusText
inside systemctl start redis-server
eventually "it is ready" is ActiveState active
answers /readyz 200 || fail "/readyz says $(status /readyz)"
show StatusText
! inside grep -qa sesame /proc/"$(show MainPID)"/environ || fail "the password is in the environment"

inside systemd-run --quiet --pipe --wait -p EnvironmentFile=/etc/natterjack/natterjack.env \
    -p LoadCredential=redis-password:/etc/natterjack/redis-password \
    natterjack --check --listen 127.0.0.1:0 || fail "--check does not like the settings"

step "a crash, and a hang that the watchdog sees"
inside systemctl kill --kill-who=main -s KILL natterjack
eventually "it is started again" is NRestarts 1
eventually "it is ready again" is ActiveState active
answers /readyz 200 || fail "/readyz says $(status /readyz)"
inside mkdir -p /run/systemd/system/natterjack.service.d
inside sh -c 'printf "[Service]\nWatchdogSec=2\n" >/run/systemd/system/natterjack.service.d/soon.conf'
inside systemctl daemon-reload
inside systemctl restart natterjack
sleep 3
must NRestarts 0
inside systemctl kill --kill-who=main -s STOP natterjack
eventually "the watchdog ends it, and it is started again" is NRestarts 1
eventually "it is ready once more" is ActiveState active
inside rm -r /run/systemd/system/natterjack.service.d
inside systemctl daemon-reload

step "stop: in good order"
inside systemctl stop natterjack.socket natterjack.service
must Result success
must ExecMainStatus 0
must ActiveState inactive
[ "$(status /healthz)" = 000 ] || fail "somebody still listens"
inside systemctl start natterjack.service
must ActiveState active natterjack.socket

step "remove: settings stay"
inside dpkg -r natterjack
must ActiveState inactive
must ActiveState inactive natterjack.socket
inside test -e /etc/natterjack/natterjack.env || fail "the settings are gone"
! inside test -e /usr/bin/natterjack || fail "the binary is still there"

step "purge: nothing stays but the user"
inside dpkg -P natterjack
files >"$layer/after"
left=$(comm -13 "$layer/before" "$layer/after" | grep -vE '^/(etc/(passwd|group|shadow|gshadow)-|var/lib/(dpkg|systemd)/)' || true)
[ -z "$left" ] || fail "left behind: $left"
inside id natterjack

step "all is well"
inside systemctl --no-pager --failed --quiet
