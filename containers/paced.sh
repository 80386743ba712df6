#!/bin/sh
# COMMAND…: a health check that is asked every few seconds until it has found the container well, and then about every
# 25. An engine has one interval for both before version 25, and to start programs in ten containers every 5 seconds
# takes a seventh of a processor from those who chat.
set -eu
if [ -e "${TMPDIR:-/tmp}/well" ]; then sleep "$((20 + $$ % 10))"; fi
rm -f "${TMPDIR:-/tmp}/well"
timeout 5 "$@"
: >"${TMPDIR:-/tmp}/well"
