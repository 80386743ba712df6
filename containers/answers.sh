#!/bin/bash
# PORT PATH: ends with 0 when the server in this container answers GET with 200.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
read -r -t 5 line <&3
[[ $line == *' 200 '* ]]
