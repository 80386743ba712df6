-- After a recovery: what only that needed would have whoever copies this server stop at the same moment.
ALTER SYSTEM RESET restore_command;
ALTER SYSTEM RESET recovery_target_time;
ALTER SYSTEM RESET recovery_target_action;
\o
SELECT 'Restored up to ' || coalesce(pg_last_xact_replay_timestamp()::text, 'the backup itself') || ': what was acked later is not in it.';
