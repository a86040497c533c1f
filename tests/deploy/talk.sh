#!/bin/bash
# talk.sh PORT TARGET TEXT SECONDS: opens a WebSocket on the loopback, says a text of at most 125 bytes
# if there is one, and shows for so long what comes. A frame's mask may be all zeros, and then it says
# what it says.
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' "$2" >&3
printf 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n' >&3
[ -z "$3" ] || printf "\\x81\\x$(printf %x $((128 + ${#3})))\\0\\0\\0\\0%s" "$3" >&3
exec timeout "$4" cat <&3
