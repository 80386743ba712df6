-- What stack/snapshot.py asks of one host's backup, and whether the WAL was read to its end: a segment that cannot be is
-- an end, too, for PostgreSQL. `archived` is the last one that there was.
\set ON_ERROR_STOP on
\set VERBOSITY terse
\o /dev/null
SELECT set_config('portcullis.archived', :'archived', false);
\o
DO $$ BEGIN
    IF substr(pg_walfile_name(pg_last_wal_replay_lsn() - 1), 9) < substr(current_setting('portcullis.archived'), 9) THEN
        RAISE EXCEPTION 'The archive cannot be read to its end: it was to be %, and it was %.',
            current_setting('portcullis.archived'), pg_walfile_name(pg_last_wal_replay_lsn() - 1);
    END IF;
    IF 0 <> (
SELECT count(*) FROM rooms r WHERE r."offset" <> COALESCE((SELECT max(e."offset") FROM events e WHERE e.room = r.id),
r.floor)
    ) THEN
        RAISE EXCEPTION 'The backup is not whole: rooms in it name events that are not there.';
    END IF;
END $$;
SELECT (SELECT count(*) FROM accounts) || ' accounts, ' || (SELECT count(*) FROM rooms) || ' rooms and ' ||
(SELECT count(*) FROM events) || ' events, schema ' || (SELECT version_num FROM alembic_version);
