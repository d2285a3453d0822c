#!/bin/sh
# Sets up what is missing, and only that: Debian packages, npm packages, the build.
#
#   sh scripts/setup.sh         what is needed to run hearth
#   sh scripts/setup.sh test    that and what the tests need
#
# As root, or with a sudo that asks nothing, missing Debian packages are installed. Otherwise this
# lists them all and stops before it has changed anything.
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

say() { printf '[setup] %s\n' "$*" >&2; }
fail() { printf '[setup] error: %s\n' "$*" >&2; exit 1; }

if ! command -v node >/dev/null 2>&1; then fail "node is not installed; install Node.js 20.19 or later"; fi
node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' ||
  fail "node $(node --version) is too old; install Node.js 20.19 or later"

wanted="$RUN_PACKAGES $BUILD_PACKAGES"
if [ "${1:-}" = test ]; then wanted="$wanted $TEST_PACKAGES"; fi
missing=""
for package in $wanted; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing="$missing $package"
done

if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ]; then as_root=""
  elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo"
  else
    say "these Debian packages are missing, and installing them needs root:"
    for package in $missing; do say "  $package"; done
    say "ask for this, then run the same command again:"
    say "  sudo apt-get update && sudo apt-get install --no-install-recommends --yes$missing"
    exit 1
  fi
  say "installing Debian packages:$missing"
  log=$(mktemp)
  policy=/usr/sbin/policy-rc.d
  made_policy=""
  cleanup() {
    rm -f "$log"
    if [ -n "$made_policy" ]; then $as_root rm -f "$policy"; fi
  }
  trap cleanup EXIT
  trap 'exit 130' INT TERM
  # docker-registry is used by the tests as a plain program; its package must not start a service.
  if [ ! -e "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
  fi
  if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install --no-install-recommends --yes $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install:$missing"
  fi
  cleanup
  trap - EXIT INT TERM
fi

if ! cmp -s package-lock.json node_modules/.hearth-lock 2>/dev/null; then
  say "installing npm packages"
  # Not `npm ci`: it refuses a lock file where a registry lacks optional packages of other platforms.
  # The versions and checksums of the lock file hold all the same, and --no-save leaves it as it is.
  npm install --no-save --loglevel=error >&2
  cp package-lock.json node_modules/.hearth-lock
fi

agent=build/agent/hearth-agent
if [ ! -x "$agent" ] || [ -n "$(find guest/agent -newer "$agent" -type f \( -name '*.c' -o -name '*.h' -o -name Makefile \) | head -n 1)" ]; then
  say "building the guest agent"
  make --silent --directory guest/agent >&2
fi

if [ ! -e build/.stamp ] || [ ! -e build/host/hearth-discard.so ] || [ -n "$(find src host catalog scripts tsconfig.json tsconfig.build.json package.json -newer build/.stamp -type f | head -n 1)" ]; then
  say "building hearth"
  npm run --silent build >&2
  mkdir -p build
  touch build/.stamp
fi
