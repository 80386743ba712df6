#!/bin/sh
# The repository of a cluster: its backups, and the WAL that its servers archive.
#
#   repository.sh serve               let the servers archive, and do the two below when it is time: a full backup each week,
#                                     a differential one each day, a drill each week, in the hour BACKUP_HOUR (UTC); the
#                                     first backup as soon as there is a primary
#   repository.sh backup [full|diff]  one more backup
#   repository.sh drill               restore the newest one and all that was archived since, look through it, remove it
#   repository.sh segment NAME PATH   what a drill reads of the archive
#
# When each was last done, and whether the last try failed, is in files that an exporter reads.
set -eu
umask 077
export PGBACKREST_CONFIG=/etc/portcullis/repository.conf
home=/var/lib/pgbackrest
facts=/var/lib/portcullis/facts
beside=/etc/portcullis/drill.conf

# NAME VALUE: replaces one, in one step.
state() {
    printf '# TYPE %s gauge\n%s %s\n' "$1" "$1" "$2" >"$facts/$1.draft"
    chmod 644 "$facts/$1.draft"
    mv "$facts/$1.draft" "$facts/$1.prom"
}

# NAME COMMAND…: does it, and states what came of it.
stated() {
    name=portcullis_$1
    shift
    if "$@"; then
        state "${name}_failed" 0
        state "${name}_timestamp_seconds" "$(date +%s)"
    else
        state "${name}_failed" 1
        return 1
    fi
}

back_up() {
    pgbackrest stanza-create && pgbackrest --type="$1" backup && touch "$home/backup" || return
    [ "$1" != full ] || touch "$home/full"
}

# No other one meanwhile, whoever asked for it.
drill() { (flock 9 && try_out) 9>"$home/drill.lock"; }

try_out() {
    folder=$home/drill
    rm -rf "$folder"
    mkdir "$folder"
    archived=$(pgbackrest info | sed -n 's|.*wal archive min/max.*/||p' | tail -n 1)
    export PGBACKREST_CONFIG=$beside
    outcome=1
    if pgbackrest restore && read_all; then outcome=0; fi
    pg_ctl --pgdata="$folder" --silent --wait --mode=immediate stop 2>/dev/null || true
    rm -rf "$folder"
    return $outcome
}

# It archives nothing, and nobody reaches it.
read_all() {
    pg_ctl --pgdata="$folder" --silent --wait --timeout=3600 --options="-c config_file=/etc/portcullis/postgresql.conf \
        -c listen_addresses= -c unix_socket_directories=/tmp \
        -c 'restore_command=sh /etc/portcullis/repository.sh segment %f %p'" start || return
    until [ "$(ask --dbname=postgres --command='SELECT pg_is_in_recovery()' 2>&1)" = f ]; do
        pg_ctl --pgdata="$folder" status >/dev/null || return
        sleep 1
    done
    ask --dbname=portcullis --set=archived="$archived" --file=/etc/portcullis/drill.sql && touch "$home/drilled"
}

# NAME PATH: one of what was archived, as it was then: the checksum is in its name there. That there is none is the end
# for PostgreSQL, and so would be one that it finds rotten: a status above 125 stops it instead.
segment() {
    sum=none
    PGBACKREST_CONFIG=$beside pgbackrest archive-get "$1" "$2" && sum=$(sha1sum <"$2" | cut -d ' ' -f 1) || outcome=$?
    [ "${outcome:-0}" -ne 1 ] || exit 1
    # A history of lines of time has no checksum.
    case $1 in *.history) [ "$sum" = none ] || exit 0 ;; esac
    ls "$home"/repository/archive/*/*/*/"$1-$sum"* >/dev/null 2>&1 || { echo "$1 is rotten in the archive" >&2; exit 126; }
}

ask() { psql -XAtq --host=/tmp --username=postgres "$@"; }

# FILE DAYS: whether it is so many days old, less the hours by which a night's start may differ from another's.
due() { [ -z "$(find "$home" -maxdepth 1 -name "$1" -mmin "-$(($2 * 1440 - 720))")" ]; }

scheduled() {
    if [ ! -e "$home/full" ]; then
        stated backup back_up full
        return
    fi
    [ "$(date -u +%H)" -eq "$BACKUP_HOUR" ] && due tried 1 || return 0
    touch "$home/tried"
    if due full 7; then
        stated backup back_up full
    elif due backup 1; then
        stated backup back_up diff
    fi
    if due drilled 7; then stated restore_drill drill; fi
}

case ${1:-} in
serve)
    pgbackrest server &
    server=$!
    trap 'kill "$server" || true' INT TERM
    while :; do
        scheduled || true
        if [ -e "$home/full" ]; then sleep 60; else sleep 5; fi
    done &
    # Without the server nobody can archive: the container ends with it, and is started anew.
    while kill -0 "$server" 2>/dev/null; do wait "$server" || true; done
    ;;
backup)
    stated backup back_up "${2:-diff}"
    pgbackrest info
    ;;
drill) stated restore_drill drill ;;
segment) segment "$2" "$3" ;;
*)
    echo "$1 is not known" >&2
    exit 78
    ;;
esac
