# Shared by the scripts in bin/ and .ci/: source it, do not run it. Works with bash 3.2 (macOS).
# shellcheck shell=bash

# shellcheck disable=SC2034 # used by those who source this
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Compiled files are shared by all copies of the repository and survive them.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/wallet/target}"

say() { printf '%s\n' "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# step WHAT COMMAND…: runs the command and says in one line what was done and how long it took; its output is shown when it fails.
step() {
  local what=$1 start=$SECONDS log status=0
  shift
  log=$(mktemp "${TMPDIR:-/tmp}/wallet-step.XXXXXX")
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -ne 0 ]; then
    cat "$log" >&2
    rm -f "$log"
    die "$what: failed (exit code $status)"
  fi
  rm -f "$log"
  say "  $what  ($((SECONDS - start)) s)"
}

# version_at_least 15 15.18: is the second version, by its major number, at least the first?
version_at_least() {
  local major=${2%%.*}
  case $major in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -ge "$1" ]
}

# with_root COMMAND…: runs it as root.
with_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "this needs root and there is no sudo: run as root: $*"
  fi
}
