#!/bin/sh
# From a fresh clone to a command in a microVM: sets up what is missing, then runs the main job.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh
# Where no terminal shows live progress, each phase is a line.
[ -t 2 ] && progress=auto || progress=plain
set -- run --progress "$progress" debian:12 -- sh -c 'echo "hello from $(uname -r)"; git --version'
printf '\n$ hearth run debian:12 -- sh -c %s\n' "'echo \"hello from \$(uname -r)\"; git --version'" >&2
exec node dist/cli/main.js "$@"
