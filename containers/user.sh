#!/bin/sh
# NAME ID FOLDER…: a user with a fixed id, and the folders it owns. The id is the same on every host, so that volumes,
# backups and socket folders keep their owner.
set -eu
name=$1 id=$2
shift 2
groupadd --gid "$id" "$name"
useradd --uid "$id" --gid "$id" --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$name"
install -d -o "$name" -g "$name" -m 0750 "$@"
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-
