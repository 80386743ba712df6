#!/bin/sh
# One of the Valkey servers of a cluster, or one of the Sentinels that watch over them: SELF is its name, PEERS are the
# servers' and SENTINELS the Sentinels'. Nothing is kept on disk: who comes back is empty, and so never the primary.
#
#   peer.sh             become a server: a replica of whom the Sentinels call the primary
#   peer.sh sentinel    become a Sentinel
#   peer.sh healthy PORT
#   peer.sh primary     whom the Sentinels call so, asked from wherever it is called
set -eu
umask 077
# In memory, and open to its user whoever made it: Swarm gives other such folders to root.
folder=/tmp
stores=/run/stores
primary=portcullis
# Whoever is gone for so long is replaced; it comes back after that.
down_seconds=3
patience=60

# HOST PORT COMMAND…: what it answers; nothing when it does not.
ask() {
    host=$1 port=$2
    shift 2
    printf 'AUTH health none\n%s\n' "$*" |
        timeout 2 valkey-cli --tls --cacert $stores/ca.pem -h "$host" -p "$port" 2>/dev/null | sed 1d || true
}

# Whom a Sentinel calls the primary.
named() {
    for sentinel in $SENTINELS; do
        found=$(ask "$sentinel" 26379 SENTINEL GET-MASTER-ADDR-BY-NAME $primary | head -1)
        case $found in '' | *' '*) ;; *) echo "$found"; return ;; esac
    done
}

# A server that says of itself that it is one.
leading() {
    for peer in $PEERS; do
        case $(ask "$peer" 6379 ROLE | head -1) in master) echo "$peer"; return ;; esac
    done
}

something_to_lose() {
    for peer in $PEERS; do
        case $(ask "$peer" 6379 DBSIZE | head -1) in [1-9]*) return 0 ;; esac
    done
    return 1
}

# While the Sentinels still take SELF for the primary it stays away, so that they choose one that has what was written.
follow() {
    waited=0
    while [ "$(named)" = "$SELF" ] && something_to_lose && [ $waited -lt $patience ]; do
        [ $waited -gt 0 ] || echo "waiting for the Sentinels to name another: $SELF comes back empty" >&2
        sleep 1
        waited=$((waited + 1))
    done
    found=$(named)
    [ -n "$found" ] || found=$(leading)
    if [ -n "$found" ]; then echo "$found"; else echo "${PEERS%% *}"; fi
}

encrypted() {
    cat <<END
port 0
tls-port $1
tls-cert-file $stores/valkey.pem
tls-key-file $stores/valkey.key
tls-ca-cert-file $stores/ca.pem
tls-auth-clients no
tls-replication yes
tls-protocols "TLSv1.3"
END
}

case ${1:-} in
'')
    leader=$(follow)
    {
        cat /etc/portcullis/valkey.conf
        echo "dir $folder"
        encrypted 6379
        echo "replica-announce-ip $SELF"
        echo "masteruser replica"
        echo "masterauth $(cat /run/secrets/valkey_replica_password)"
        echo "repl-diskless-sync-delay 0"
        echo "repl-ping-replica-period 2"
        echo "repl-timeout 10"
        [ "$leader" = "$SELF" ] || echo "replicaof $leader 6379"
    } >$folder/server.conf
    exec valkey-server $folder/server.conf --maxmemory "${MAXMEMORY:-384mb}"
    ;;
sentinel)
    leader=$(named)
    [ -n "$leader" ] || leader=$(leading)
    [ -n "$leader" ] || leader=${PEERS%% *}
    {
        encrypted 26379
        cat <<END
protected-mode no
dir $folder
logfile ""
aclfile /run/secrets/sentinel_users
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $SELF
sentinel announce-port 26379
sentinel monitor $primary $leader 6379 2
sentinel auth-user $primary sentinel
sentinel auth-pass $primary $(cat /run/secrets/sentinel_password)
sentinel down-after-milliseconds $primary ${down_seconds}000
sentinel failover-timeout $primary 10000
sentinel parallel-syncs $primary 2
sentinel sentinel-user sentinel
sentinel sentinel-pass $(cat /run/secrets/sentinel_password)
END
    } >$folder/sentinel.conf
    exec valkey-server $folder/sentinel.conf --sentinel
    ;;
primary)
    found=$(named)
    [ -n "$found" ] || { echo "no Sentinel answers" >&2; exit 1; }
    echo "$found"
    ;;
healthy)
    said=$(ask 127.0.0.1 "$2" PING)
    case $said in *PONG) ;; *) echo "$said"; exit 1 ;; esac
    ;;
*)
    echo "$1 is not known" >&2
    exit 78
    ;;
esac
