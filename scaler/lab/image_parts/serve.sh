#!/bin/sh
# serve [PORT]: answer every HTTP request with this host's name until told to end.
# As process 1 the shell has to catch the signals itself, or a stop takes the whole grace period.
nc -ll -p "${1:-8080}" -e /bin/answer &
trap 'kill $!; exit 0' INT TERM
wait
