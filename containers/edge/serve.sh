#!/bin/sh
# nginx in a cluster, where nobody is there to tell it: as soon as another configuration or certificate is whole, it reads
# both anew. Who is connected stays connected.
set -eu
edge=/var/lib/portcullis/edge
start="nginx -p $edge -e stderr -c $edge/nginx.conf"

follow() {
    known=$(cat $edge/made)
    while sleep 2; do
        now=$(cat $edge/made)
        [ "$now" != "$known" ] || continue
        known=$now
        if $start -q -t; then kill -HUP 1; fi
    done
}

follow &
exec $start -g 'daemon off;'
