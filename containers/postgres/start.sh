#!/bin/sh
# Makes the cluster the first time, gives the two roles the passwords of today's files, and becomes the server.
set -eu
umask 077
settings=/etc/portcullis/postgresql.conf
if [ -s "$PGDATA/PG_VERSION" ]; then
    major=$(cat "$PGDATA/PG_VERSION")
    if [ "$major" != "$POSTGRES_MAJOR" ]; then
        echo "The data in this volume was written by PostgreSQL $major and this image has $POSTGRES_MAJOR: it was not" \
            "touched. Back it up with the old release, and restore it with this one." >&2
        exit 78
    fi
else
    # Made beside its place and renamed, so that one that was cut off is begun anew.
    rm -rf "$PGDATA.new"
    sh /etc/portcullis/create.sh "$PGDATA.new"
    mv "$PGDATA.new" "$PGDATA"
fi
# Nobody but this container can reach it until the roles are right.
pg_ctl --silent --wait --timeout=3600 --options="-c config_file=$settings -c listen_addresses=" start
psql --quiet --no-psqlrc --username=postgres --dbname=postgres --output=/dev/null --file=/etc/portcullis/roles.sql
pg_ctl --silent --wait --timeout=300 --mode=fast stop
exec postgres -c "config_file=$settings" -c "shared_buffers=${SHARED_BUFFERS:-128MB}"
