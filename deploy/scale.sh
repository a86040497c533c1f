#!/bin/sh
# scale.sh PEOPLE ROOM_SIZE MESSAGES_PER_MINUTE [INSTANCES]: what a chat of that size takes, by the costs
# and formulas of deploy/manual/scaling.md. Each person is in one room and says so many messages. One
# instance is taken to run without Redis.
set -eu
case $# in
3 | 4) ;;
*)
    echo 'usage: scale.sh PEOPLE ROOM_SIZE MESSAGES_PER_MINUTE [INSTANCES]' >&2
    exit 2
    ;;
esac
for number in "$@"; do
    case $number in
    '' | . | *[!0-9.]* | *.*.*)
        echo "scale.sh: $number is no number" >&2
        exit 2
        ;;
    esac
done

awk -v people="$1" -v room="$2" -v pace="$3" -v instances="${4:-1}" '
function ceiling(x) { return x > int(x) ? int(x) + 1 : int(x) }
function limit(text) { printf "limit      %s\n", text; limits++ }
BEGIN {
    # Costs of CPU, in microseconds, of a server with something to do.
    alone = 80; publish = 73; listen = 57; delivery = 6.7; batched = 0.06
    redis_message = 137; redis_listener = 11
    join = 68; join_redis = 246; redis_join = 146; ping = 9
    # Bytes of a peer, the kernel'"'"'s for both ends included.
    peer = 10000
    # Shares of a core up to which an instance and a Redis are planned.
    plan = 0.5

    if (people < 1 || room < 1 || instances < 1 || instances != int(instances)) {
        print "scale.sh: people, room and instances are at least 1, and instances are whole" >"/dev/stderr"
        exit 2
    }
    messages = people * pace / 60
    each = people / instances
    heard = instances * (1 - (1 - 1 / instances) ^ room)
    shared = instances > 1
    cost = shared ? publish + heard * listen : alone
    cpu = (messages * (cost + (room - 1) * delivery) + people / 25 * ping) / instances / 1e6
    # Where messages come faster than one is written to everybody, several are written at once.
    least = (messages * (cost + (room - 1) * batched) + people / 25 * ping) / instances / 1e6
    round = each * delivery / 1e6 / (1 - least)
    redis = shared ? messages * (redis_message + heard * redis_listener) / 1e6 : 0
    storm = each * (shared ? join_redis : join) / 1e6

    printf "messages   %.0f a second, each on %.1f instances\n", messages, heard
    printf "instance   %.0f people, %.2f GB, %.0f %% of a core\n", each, each * peer / 1e9, cpu < 1 ? cpu * 100 : 100
    if (shared) printf "Redis      %.0f %% of a core\n", redis * 100
    printf "all back   %.1f s of CPU of each instance", storm
    if (shared) printf ", %.1f s of Redis", people * redis_join / 1e6
    print ""

    if (each > 65000) limit("files: raise LimitNOFILE=65536 of the service, too")
    if (each > 10000) limit(sprintf("--max-peers: at least %.0f", each))
    if (cpu > 1 && least < plan) limit(sprintf("the core of an instance: messages go out together, every %.2f s", round))
    else if (cpu > plan) limit("the core of an instance: more instances")
    if (redis > plan) limit(sprintf("the core of Redis: a cluster of at least %d primaries", ceiling(redis / plan)))
    if (!limits) limit("none")
}'
