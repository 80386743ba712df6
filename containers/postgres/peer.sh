#!/bin/sh
# One of the PostgreSQL servers of a cluster: SELF is its name, PEERS are the names of all. One is the primary, the others
# are its standbys, and a commit is one when it is on the disk of the primary and of one of them.
#
#   peer.sh           become a server. Whoever has no data copies the primary's. Whoever was the primary starts only when
#                     another answers and none has gone on without it: a primary that comes back by itself would be the
#                     second one.
#   peer.sh first     make the data of the very first primary, which waits for nobody until it has a standby; no harm where
#                     there is data
#   peer.sh healthy   whether it answers, or waits for somebody who has to answer first
#   peer.sh promote   make this standby the primary; refused while another one answers
set -eu
umask 077
settings=/etc/portcullis/cluster.conf
alone=${PGDATA%/*}/first
waiting=/tmp/waiting
stores=/run/stores
as="user=portcullis_replica sslmode=verify-full sslrootcert=$stores/ca.pem sslcert=$stores/portcullis_replica.pem \
sslkey=$stores/portcullis_replica.key connect_timeout=2"

others() { for name in $PEERS; do [ "$name" = "$SELF" ] || echo "$name"; done; }

# HOST QUESTION: what the server says; nothing when it does not answer.
ask() {
    psql --no-psqlrc --quiet --tuples-only --no-align --command="$2" "host=$1 replication=true $as" 2>/dev/null || true
}

# The peer that is the primary, if one answers.
primary() {
    for name in $(others); do
        if [ "$(ask "$name" 'SHOW in_hot_standby')" = off ]; then echo "$name"; return; fi
    done
}

refuse() { echo "$*" >&2; exit 78; }

wait_for() {
    [ -e $waiting ] || echo "waiting for $*" >&2
    : >$waiting
    sleep 1
}

major_is_ours() {
    major=$(cat "$PGDATA/PG_VERSION")
    [ "$major" = "$POSTGRES_MAJOR" ] || refuse "The data in this volume was written by PostgreSQL $major and this image" \
        "has $POSTGRES_MAJOR: it was not touched."
}

copy() {
    until found=$(primary) && [ -n "$found" ]; do wait_for "a primary to copy: none of $(others | tr '\n' ' ')is one"; done
    : >$waiting
    rm -rf "$PGDATA.new"
    echo "copying $found" >&2
    pg_basebackup --pgdata="$PGDATA.new" --dbname="host=$found $as application_name=copy" --checkpoint=fast
    : >"$PGDATA.new/standby.signal"
    mv "$PGDATA.new" "$PGDATA"
}

may_lead() {
    [ ! -e "$alone" ] || return 0
    ours=$(pg_controldata | sed -n "s/^Latest checkpoint's TimeLineID: *//p")
    while :; do
        answered=
        for name in $(others); do
            case $(ask "$name" 'SHOW in_hot_standby') in
            off) refuse "$name is the primary by now, and $SELF was before: make it anew (rejoin), its data is not touched." ;;
            on)
                theirs=$(ask "$name" IDENTIFY_SYSTEM | cut -d '|' -f 2)
                [ "${theirs:-0}" -le "$ours" ] || refuse "$name has gone on without $SELF (timeline $theirs, ours is" \
                    "$ours): make it anew (rejoin), its data is not touched."
                answered=yes
                ;;
            esac
        done
        [ -z "$answered" ] || break
        wait_for "a standby: without one $SELF cannot know whether another is the primary by now"
    done
    rm -f $waiting
}

# A commit needs a standby, and nobody can be one of a server that nobody reaches.
roles() {
    pg_ctl --silent --wait --timeout=3600 \
        --options="-c config_file=$settings -c listen_addresses= -c synchronous_standby_names=" start
    psql --quiet --no-psqlrc --username=postgres --dbname=postgres --output=/dev/null --set=cluster=1 \
        --file=/etc/portcullis/roles.sql
    pg_ctl --silent --wait --timeout=300 --mode=fast stop
}

# The first standby is there: from now on there is somebody to ask.
settle() {
    question="SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'quorum'"
    until [ "$(psql -XAtq --username=postgres --dbname=postgres --command="$question" 2>/dev/null)" = t ]; do sleep 1; done
    rm -f "$alone"
}

serve() {
    [ ! -e "$alone" ] || settle &
    names=$(for name in $PEERS; do printf '%s"%s"' "${comma:-}" "$name"; comma=,; done)
    exec postgres -c "config_file=$settings" -c "shared_buffers=${SHARED_BUFFERS:-128MB}" -c "cluster_name=$SELF" \
        -c "synchronous_standby_names=ANY 1 ($names)" \
        -c "primary_conninfo=host=$(echo "$PEERS" | tr ' ' ',') $as application_name=$SELF target_session_attrs=read-write"
}

case ${1:-} in
first)
    [ ! -e "$PGDATA" ] || exit 0
    rm -rf "$PGDATA.new"
    sh /etc/portcullis/create.sh "$PGDATA.new"
    mv "$PGDATA.new" "$PGDATA"
    roles
    : >"$alone"
    ;;
healthy) [ -e $waiting ] || exec pg_isready --quiet --host=127.0.0.1 --username=portcullis --timeout=3 ;;
promote)
    found=$(primary)
    [ -z "$found" ] || refuse "$found is the primary, and answers: stop it first."
    exec pg_ctl promote --wait --timeout=30
    ;;
'')
    [ -s "$PGDATA/PG_VERSION" ] || copy
    major_is_ours
    if [ ! -e "$PGDATA/standby.signal" ]; then
        may_lead
        roles
    fi
    rm -f $waiting
    serve
    ;;
*) refuse "$1 is not known" ;;
esac
