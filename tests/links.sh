#!/bin/sh
# README.md stays short, and each relative link in it and in the manual leads to a file and a heading
# that exist. Prints each one that does not.
set -eu
cd "$(dirname "$0")/.."
broken=$(mktemp)
trap 'rm -f "$broken"' EXIT

# The anchors of a page's headings, as GitHub makes them. Headings in code blocks don't count: these
# are indented or fenced.
anchors() {
    awk '/^```/ { code = !code } !code && /^#+ / { sub(/^#+ +/, ""); print tolower($0) }' "$1" |
        sed -e 's/`//g' -e 's/\[\([^]]*\)\]([^)]*)/\1/g' -e 's/[^[:alnum:] _-]//g' -e 's/ /-/g'
}

# The targets of a page's links. Code is no link.
targets() {
    awk '/^```/ { code = !code } !code && !/^    / { gsub(/`[^`]*`/, ""); print }' "$1" |
        grep -o '\](\([^()]*\))' | sed 's/^](//; s/)$//' || true
}

for page in README.md deploy/manual/*.md; do
    targets "$page" | while read -r target; do
        case $target in
            http://* | https://*) continue ;;
        esac
        path=${target%%#*}
        file=$page
        [ -z "$path" ] || file=$(dirname "$page")/$path
        if [ ! -e "$file" ]; then
            echo "$page: there is no file $target" >>"$broken"
            continue
        fi
        case $target in
            *#*) anchors "$file" | grep -qxF -- "${target#*#}" ||
                echo "$page: there is no heading $target" >>"$broken" ;;
        esac
    done
done

lines=$(wc -l <README.md)
[ "$lines" -le 200 ] || echo "README.md: $lines lines, 200 at most: the manual is in deploy/manual" >>"$broken"

cat "$broken" >&2
[ ! -s "$broken" ]
