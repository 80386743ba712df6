-- Run as the superuser at every start: a replaced password file takes effect with a restart.
\set ON_ERROR_STOP on
\set owner_password `cat /run/secrets/postgres_owner_password`
\set app_password `cat /run/secrets/postgres_password`
\set watch_password `cat /run/secrets/postgres_watch_password`
SET log_min_error_statement = panic;
SELECT 'CREATE ROLE portcullis_owner LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'portcullis_owner') \gexec
SELECT 'CREATE ROLE portcullis LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'portcullis') \gexec
SELECT 'CREATE ROLE portcullis_watch LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'portcullis_watch') \gexec
ALTER ROLE portcullis_owner NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE portcullis NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 80 PASSWORD :'app_password';
ALTER ROLE portcullis_watch NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 5 PASSWORD :'watch_password';
GRANT pg_monitor TO portcullis_watch;
\if :{?cluster}
SELECT 'CREATE ROLE portcullis_replica LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'portcullis_replica') \gexec
ALTER ROLE portcullis_replica NOSUPERUSER NOCREATEDB NOCREATEROLE REPLICATION NOBYPASSRLS CONNECTION LIMIT 20 PASSWORD NULL;
-- Of the database `postgres`, where there is nothing: to say who is what, and to promote (peer.sh).
GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO portcullis_replica;
\endif
SELECT 'CREATE DATABASE portcullis OWNER portcullis_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'portcullis') \gexec
REVOKE ALL ON DATABASE portcullis FROM PUBLIC;
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
REVOKE ALL ON DATABASE template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE portcullis TO portcullis, portcullis_watch;
\if :{?cluster}
GRANT CONNECT ON DATABASE postgres TO portcullis_replica;
\endif
\connect portcullis
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO portcullis_owner;
-- What the server may do with the tables, `python -m app migrate` says.
