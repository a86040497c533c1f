#!/bin/sh
# The house's rule: imports go one way, chat <- bus <- net <- server <- main, with redis below bus
# and beside chat, and what belongs to one room is named only there. Prints each line that breaks it.
set -u
cd "$(dirname "$0")/.."
broken=0

# forbid WHERE PATTERN WHY
forbid() {
    if grep -rnE "$2" $1; then
        echo "^ $3" >&2
        broken=1
    fi
}

chat="src/chat.rs src/chat"
redis="src/redis.rs src/redis"
bus="src/bus.rs src/bus"
net="src/net.rs src/net"

above='server|metrics|systemd|check|probe|limits'
forbid "$chat" "crate::(bus|net|config|logger|report|$above)" 'chat knows nothing above it'
forbid "$chat $net src/server.rs src/config.rs src/config src/metrics.rs" 'crate::redis::' 'only bus uses the client for Redis'
forbid "$redis" "crate::(chat|bus|net|logger|report|$above)" 'the client for Redis knows no chat'
forbid "$bus" "crate::(net|logger|$above)" 'bus knows only chat, redis and config'
forbid "$net" "crate::(logger|report|$above)" 'net knows only chat, bus and config'
forbid "src/metrics.rs src/metrics src/systemd.rs src/systemd" 'crate::(server|check|probe)' \
    'those who watch know what is watched, not who runs it'
forbid "src/config.rs src/config src/logger.rs src/time.rs src/count.rs src/report.rs src/limits.rs src/certificate.rs" \
    "crate::(chat|bus|net|$above)" 'settings, log and counters know nothing'
forbid "src" 'use crate::\{|use crate::\*|use natterjack::\*' 'name the room, not the root'

forbid "$chat" '\b(smol|async_net|async_io|async_tungstenite|redis|std::net)::' \
    'chat names no runtime, no socket and no Redis'
forbid "$net src/server.rs src/config.rs src/config" '\bredis::(cmd|Value|Script|Client)' \
    'Redis is spoken only in redis and bus/redis'
forbid "src/bus.rs src/bus/fanout.rs src/bus/local.rs" '(^use |[^:a-z])::?redis::(cmd|Value)' \
    'Redis is spoken only in redis and bus/redis'
forbid "$chat src/bus.rs src/bus/fanout.rs src/bus/local.rs src/server.rs src/main.rs src/metrics.rs src/check.rs" '\brustls::' \
    'TLS is spoken only in net/tls and redis'
forbid "$chat $bus src/server.rs" 'async_tungstenite' 'the WebSocket layer is named only in net'
forbid "$(find src/chat -name '*.rs' ! -name frame.rs) src/chat.rs" 'tungstenite' 'frames are made only in chat/frame'
forbid "src" '\bunsafe\b *(\{|fn|impl)' 'no unsafe code'

long=$(find src tests -name target -prune -o -name '*.rs' -exec awk 'END { if (NR > 450) print FILENAME ": " NR " lines" }' {} \;)
if [ -n "$long" ]; then
    echo "$long"
    echo "^ one idea per file" >&2
    broken=1
fi
exit $broken
