#!/bin/sh
# answer: read one HTTP request and reply with this host's name; serve starts it for each connection.
while read -r line && [ "${line%?}" ]; do :; done
name=$(hostname)
printf 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n'
printf 'Content-Length: %d\r\nConnection: close\r\n\r\n%s\n' $((${#name} + 1)) "$name"
