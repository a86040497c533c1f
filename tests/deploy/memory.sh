# shellcheck shell=sh
# Whether what was acknowledged is remembered. For scripts that have `fail`, and `talk TARGET TEXT
# SECONDS`, which runs talk.sh where the server is.

# says NAME TEXT: and it is acknowledged.
says() {
    said="{\"type\":\"chat\",\"room\":\"lobby\",\"text\":\"$2\",\"ref\":\"1\"}"
    heard=$(talk "/ws?user=$1&room=lobby" "$said" 3 | tr -d '\0') || true
    case $heard in
    *'"type":"ack"'*) ;;
    *) fail "what $1 says is not acknowledged: $heard" ;;
    esac
}

# remembers TEXT ...: each is there once.
remembers() {
    heard=$(talk '/ws?user=late&room=lobby&history=100' '' 3 | tr -d '\0') || true
    for text in "$@"; do
        [ "$(echo "$heard" | grep -ao "\"$text\"" | wc -l)" = 1 ] || fail "$text is not there once: $heard"
    done
}
