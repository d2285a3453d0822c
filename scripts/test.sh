#!/bin/sh
# Sets up what is missing, then runs every check and every test. Arguments go to vitest.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh test
if [ $# -gt 0 ]; then exec npx vitest run "$@"; fi
npm run --silent check
make --silent --directory guest/agent test
exec npx vitest run
