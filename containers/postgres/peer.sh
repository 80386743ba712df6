#!/bin/sh
# One of the PostgreSQL servers of a cluster: SELF is its name, PEERS are the names of all. One is the primary, the others
# are its standbys, and a commit is one when it is on the disk of the primary and of one of them.
#
#   peer.sh           become a server. Whoever has no data copies the primary's. Whoever was the primary starts only when
#                     another answers and none has gone on without it: a primary that comes back by itself would be the
#                     second one.
#   peer.sh first     make the data of the very first primary, which waits for nobody until it has a standby; no harm where
#                     there is data or a primary, and refused where the repository has backups of one that is gone
#   peer.sh restore [MOMENT]
#                     as `first`, with what the repository has: up to its end, or up to a moment such as
#                     '2026-11-30 12:00:00+00'; refused where there is data or a primary
#   peer.sh bare      whether that would be refused
#   peer.sh healthy   whether it answers, or waits for somebody who has to answer first
#   peer.sh states    of each server its name, whether it is the `primary` or a `standby` or nobody `absent`, and how far it is
#   peer.sh promote   make the standby SELF the primary; refused while another one answers, and unless the other standby
#                     has received no more: what is acked is on one of the two. With `unproven` it may be silent: what was
#                     acked last may be lost then.
#   peer.sh lead      let SELF lead, which was the primary and waits: not asked for where any other server may have gone on
#   peer.sh forget    delete the data of SELF, which is then made anew, as soon as no server has it
# states and promote ask over the network, from wherever they are called.
set -eu
umask 077
settings=/etc/portcullis/cluster.conf
alone=${PGDATA%/*}/first
waiting=/tmp/waiting
stores=/run/stores
export PGBACKREST_CONFIG=/etc/portcullis/archive.conf
as="user=portcullis_replica sslmode=verify-full sslrootcert=$stores/ca.pem sslcert=$stores/portcullis_replica.pem \
sslkey=$stores/portcullis_replica.key connect_timeout=2"

others() { for name in $PEERS; do [ "$name" = "$SELF" ] || echo "$name"; done; }

# HOST QUESTION: what the server says; nothing when it does not answer.
ask() {
    psql --no-psqlrc --quiet --tuples-only --no-align --command="$2" "host=$1 replication=true $as" 2>/dev/null || true
}

# HOST QUESTION: the same in SQL.
sql() { psql -XAtq --command="$2" "host=$1 dbname=postgres $as" 2>/dev/null || true; }

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

# The volume is this container's alone, until all that it started has ended. Swarm was seen to start a host's one server anew
# after an election, while the former ran on for three seconds more: two servers on one volume destroy what is in it.
hold() {
    exec 9>"${PGDATA%/*}/held"
    until flock --nonblock 9; do wait_for "the former container of $SELF to end: it has the data"; done
}

major_is_ours() {
    major=$(cat "$PGDATA/PG_VERSION")
    [ "$major" = "$POSTGRES_MAJOR" ] || refuse "The data in this volume was written by PostgreSQL $major and this image" \
        "has $POSTGRES_MAJOR: it was not touched."
}

# Ends without a copy when a restore has brought data meanwhile.
copy() {
    until found=$(primary) && [ -n "$found" ]; do
        [ ! -s "$PGDATA/PG_VERSION" ] || return 0
        wait_for "a primary to copy: none of $(others | tr '\n' ' ')is one"
    done
    : >$waiting
    rm -rf "$PGDATA.new"
    echo "copying $found" >&2
    pg_basebackup --pgdata="$PGDATA.new" --dbname="host=$found $as application_name=copy" --checkpoint=fast
    : >"$PGDATA.new/standby.signal"
    mv "$PGDATA.new" "$PGDATA"
}

may_lead() {
    ours=$(pg_controldata | sed -n "s/^Latest checkpoint's TimeLineID: *//p")
    while [ ! -e "$alone" ]; do
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

# FOLDER OPTION…: the roles' passwords and whatever else psql is told by its options, once all WAL is read. A commit needs
# a standby, and nobody can be one of a server that nobody reaches; what is to be archived waits.
roles() {
    folder=$1
    shift
    pg_ctl --pgdata="$folder" --silent --wait --timeout=3600 --options="-c config_file=$settings -c listen_addresses= \
        -c synchronous_standby_names= -c archive_command=" start
    until [ "$(psql -XAtq --username=postgres --dbname=postgres --command='SELECT pg_is_in_recovery()' 2>&1)" = f ]; do
        pg_ctl --pgdata="$folder" status >/dev/null
        sleep 1
    done
    psql --quiet --no-psqlrc --tuples-only --no-align --username=postgres --dbname=postgres --output=/dev/null \
        --set=cluster=1 --file=/etc/portcullis/roles.sql "$@"
    pg_ctl --pgdata="$folder" --silent --wait --timeout=300 --mode=fast stop
}

# Whether the repository has a backup; no when it does not answer, as before it is there for the first time.
kept() { pgbackrest --io-timeout=2 info --output=json | grep -q '"label"'; }

bare() {
    [ ! -e "$PGDATA" ] || refuse "There is data here, which was not touched: nothing is restored over it."
    found=$(primary)
    [ -z "$found" ] || refuse "$found is the primary, and answers: nothing is restored beside it."
}

fetch() {
    folder=$PGDATA.restored
    rm -rf "$folder"
    mkdir "$folder"
    pgbackrest --pg1-path="$folder" restore ${1:+--type=time "--target=$1" --target-action=promote}
    roles "$folder" --file=/etc/portcullis/restored.sql
    mv "$folder" "$PGDATA"
}

received="greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"

# A commit is on the primary and one standby, not on both: whoever has received more has all that was acked. Both receive
# nothing any more, since no primary answers.
most_received() {
    for name in $(others); do
        theirs=$(sql "$name" "SELECT $received")
        [ -n "$theirs" ] || continue
        [ "$(sql "$SELF" "SELECT $received >= '$theirs'")" = t ] || refuse "$name has received more: promote that one."
        return 0
    done
    [ "$1" = unproven ] || refuse "No other standby answers, so nobody knows whether $SELF has all that was acked."
}

states() {
    how="CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END"
    far="CASE WHEN pg_is_in_recovery() THEN $received ELSE pg_current_wal_flush_lsn() END - '0/0'"
    for name in $PEERS; do
        said=$(sql "$name" "SELECT $how || ' ' || $far")
        echo "$name ${said:-absent 0}"
    done
}

# The first standby is there: from now on there is somebody to ask.
settle() {
    question="SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'quorum'"
    until [ "$(psql -XAtq --username=postgres --dbname=postgres --command="$question" 2>/dev/null)" = t ]; do sleep 1; done
    rm -f "$alone"
}

# A standby marks all that it receives as archived. What the lost primary had not archived is archived from here as soon as
# it leads; what the repository has already does no harm.
archive_on() {
    until [ "$(psql -XAtq --username=postgres --dbname=postgres --command='SELECT pg_is_in_recovery()' 2>/dev/null)" = f ]; do
        sleep 1
    done
    for done in "$PGDATA"/pg_wal/archive_status/*.done; do
        [ ! -e "$done" ] || mv "$done" "${done%.done}.ready"
    done
}

# Lets the repository read the data. The server is well without, so no health check asks: a backup that fails says so.
lend() {
    while :; do
        PGOPTIONS='-c statement_timeout=0' pgbackrest server || true
        sleep 1
    done
}

# The server is not the first process: as that it would take any other one's end by a signal for a crash of its own.
serve() {
    [ ! -e "$alone" ] || settle &
    [ ! -e "$PGDATA/standby.signal" ] || archive_on &
    lend &
    # A standby takes no connect_timeout for its own connection (libpqrcv_connect): without tcp_user_timeout a host that
    # swallows what is sent to it, as a lost one does, keeps it for two minutes from asking the next one.
    names=$(for name in $PEERS; do printf '%s"%s"' "${comma:-}" "$name"; comma=,; done)
    postgres -c "config_file=$settings" -c "shared_buffers=${SHARED_BUFFERS:-128MB}" -c "cluster_name=$SELF" \
        -c "synchronous_standby_names=ANY 1 ($names)" \
        -c "primary_conninfo=host=$(echo "$PEERS" | tr ' ' ',') $as tcp_user_timeout=5000 application_name=$SELF \
target_session_attrs=read-write" &
    server=$!
    trap 'kill -INT "$server" || true' INT TERM
    while kill -0 "$server" 2>/dev/null; do
        status=0
        wait "$server" || status=$?
    done
    exit "$status"
}

case ${1:-} in
first)
    [ ! -e "$PGDATA" ] && [ -z "$(primary)" ] || exit 0
    ! kept || refuse "The repository has backups of a database that no server has: restore it, or empty the repository."
    rm -rf "$PGDATA.new"
    sh /etc/portcullis/create.sh "$PGDATA.new"
    mv "$PGDATA.new" "$PGDATA"
    roles "$PGDATA"
    : >"$alone"
    ;;
bare) bare ;;
restore)
    bare
    fetch "${2:-}"
    : >"$alone"
    ;;
healthy) [ -e $waiting ] || exec pg_isready --quiet --host=127.0.0.1 --username=portcullis --timeout=3 ;;
states) states ;;
promote)
    found=$(primary)
    [ -z "$found" ] || refuse "$found is the primary, and answers: stop it first."
    [ "$(sql "$SELF" 'SELECT pg_is_in_recovery()')" = t ] || refuse "$SELF is no standby that answers."
    most_received "${2:-}"
    [ "$(sql "$SELF" 'SELECT pg_promote(true, 30)')" = t ] || refuse "$SELF did not become the primary within 30 s."
    ;;
lead)
    [ -s "$PGDATA/PG_VERSION" ] && [ ! -e "$PGDATA/standby.signal" ] || refuse "$SELF was not the primary."
    found=$(primary)
    [ -z "$found" ] || refuse "$found is the primary, and answers."
    : >"$alone"
    ;;
forget)
    hold
    rm -rf "$PGDATA" "$PGDATA.new"
    ;;
'')
    hold
    [ -s "$PGDATA/PG_VERSION" ] || copy
    major_is_ours
    # Of a server that was killed: it names a process of that container, whose number another one may have here, for which
    # PostgreSQL would take it. Nobody else has the data: hold.
    rm -f "$PGDATA/postmaster.pid"
    if [ ! -e "$PGDATA/standby.signal" ]; then
        may_lead
        roles "$PGDATA"
    fi
    rm -f $waiting
    serve
    ;;
*) refuse "$1 is not known" ;;
esac
