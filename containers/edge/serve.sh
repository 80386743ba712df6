#!/bin/sh
# nginx in a cluster, where nobody is there to tell it: as soon as another configuration or certificate is whole, it reads
# both anew. Who is connected stays connected.
#
# serve.sh [SECONDS]: a host that has just booted leaves its clients to the other edges until its own relay leads to an app,
# or for that long; then it answers them that the chat is down.
set -eu
edge=/var/lib/portcullis/edge
start="nginx -p $edge -e stderr -c $edge/nginx.conf"

# An app answers by the relay, whatever it says.
answered() {
    perl -MIO::Socket::UNIX -e '
        alarm 2;
        my $relay = IO::Socket::UNIX->new("/var/lib/portcullis/run/app.sock") or exit 1;
        print $relay "GET /.well-known/jwks.json HTTP/1.0\r\nHost: localhost\r\n\r\n";
        $relay->flush;
        exit(($relay->getline // "") !~ m{^HTTP/});
    '
}

follow() {
    known=$(cat $edge/made)
    while sleep 2; do
        now=$(cat $edge/made)
        [ "$now" != "$known" ] || continue
        known=$now
        if $start -q -t; then kill -HUP 1; fi
    done
}

trap 'exit 0' QUIT TERM
tries=${1:-40}
until [ "$tries" -le 0 ] || answered; do
    tries=$((tries - 1))
    sleep 1
done

follow &
exec $start -g 'daemon off;'
