#!/bin/sh
# FOLDER: the data of a new server. Built-in collation: a new C library cannot reorder an index. Checksums: a rotten page
# is an error, not an answer.
set -eu
initdb --pgdata="$1" --username=postgres --auth=peer --encoding=UTF8 --locale-provider=builtin --locale=C.UTF-8 \
    --data-checksums --no-instructions >/dev/null
