#!/bin/sh
# nats.sh ADDRESS: becomes a nats-server that listens there.
exec nats-server --addr "${1%:*}" --port "${1##*:}"
