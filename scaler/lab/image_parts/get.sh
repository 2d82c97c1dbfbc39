#!/bin/sh
# get [http://]HOST[:PORT][/PATH] [SECONDS]: print what an HTTP GET answers; status 0 for a 200 only.
# By nc, because the wget of a busybox linked statically to glibc has been seen to crash.
url=${1#http://}
place=${url%%/*}
path=${url#"$place"}
host=${place%%:*}
port=${place#"$host"}
port=${port#:}
answer=$(
    printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "${path:-/}" "$place" |
        timeout "${2:-10}" nc -w "${2:-10}" "$host" "${port:-80}"
) || exit 1
answer=$(printf '%s\n' "$answer" | tr -d '\r')
printf '%s\n' "$answer" | sed '1,/^$/d'
case $answer in
"HTTP/1."?" 200"*) ;;
*) exit 1 ;;
esac
