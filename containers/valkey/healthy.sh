#!/bin/sh
# The user `health` may say PING and nothing else, and so needs no secret.
set -eu
said=$(printf 'AUTH health none\nPING\n' | timeout 4 valkey-cli -h 127.0.0.1)
case $said in *PONG) ;; *) echo "$said"; exit 1 ;; esac
