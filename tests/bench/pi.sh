#!/bin/sh
# Measures what natterjack holds on a small machine: a control group with 64 MiB of memory and a
# fifth of a core. The load generator runs outside of it. The kernel counts only part of what it
# keeps for a connection (not the socket itself, which it makes before the server accepts it).
# Called by `make bench-pi`, as root: nobody else may make control groups.
set -eu
cd "$(dirname "$0")/../.."
memory=$((${MIB:-64} << 20))
percent=${PERCENT:-20}
bench=tests/bench/target/release/natterjack-bench
server=$PWD/target/release/natterjack
name=natterjack-pi-$$
wrapper=$(mktemp)
cgroups=/sys/fs/cgroup

fail() {
    echo "pi.sh: $1" >&2
    exit 1
}

# Version 2 has one tree of groups, version 1 one for each kind of limit.
if [ -e $cgroups/cgroup.controllers ]; then
    folders=$cgroups/$name
else
    folders="$cgroups/memory/$name $cgroups/cpu/$name"
fi

remove() {
    for folder in $folders; do
        [ -d "$folder" ] || continue
        # Only what was started into it can be there: a server whose bench was interrupted.
        for process in $(cat "$folder/cgroup.procs"); do
            kill -s KILL "$process" || true
        done
        tries=0
        until rmdir "$folder" 2>/dev/null; do
            tries=$((tries + 1))
            [ $tries -lt 50 ] || fail "can't remove $folder"
            sleep 0.1
        done
    done
}
trap 'remove; rm -f "$wrapper"' EXIT
trap 'exit 1' HUP INT PIPE TERM

# limit VALUE FILE: where that kernel has such a limit.
limit() {
    [ ! -e "$2" ] || echo "$1" >"$2"
}

for work in idle talk deaf; do
    for folder in $folders; do
        mkdir "$folder" || fail "can't make $folder: this needs root, and control groups"
        limit $memory "$folder/memory.limit_in_bytes"
        limit $memory "$folder/memory.memsw.limit_in_bytes"
        limit 100000 "$folder/cpu.cfs_period_us"
        limit $((percent * 1000)) "$folder/cpu.cfs_quota_us"
        limit $memory "$folder/memory.max"
        limit 0 "$folder/memory.swap.max"
        limit "$((percent * 1000)) 100000" "$folder/cpu.max"
    done
    limited=$(cat $cgroups/memory/$name/memory.limit_in_bytes $cgroups/$name/memory.max 2>/dev/null) || true
    [ "$limited" = $memory ] || fail "this kernel limits no memory here"

    # The bench starts this, which goes into the group and becomes the server.
    {
        echo '#!/bin/sh'
        for folder in $folders; do
            echo "echo \$\$ >$folder/cgroup.procs"
        done
        echo "exec $server \"\$@\""
    } >"$wrapper"
    chmod +x "$wrapper"
    echo "In ${MIB:-64} MiB and $percent % of a core: $work"
    $bench --held $work "$wrapper"
    for peak in $cgroups/memory/$name/memory.max_usage_in_bytes $cgroups/$name/memory.peak; do
        [ ! -e $peak ] || echo "the group's memory at most: $(($(cat $peak) >> 10)) KiB"
    done
    echo
    remove
done
