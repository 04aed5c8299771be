# Building our programs. Source it after install.sh.
# shellcheck shell=bash

# build WHAT CARGO-ARGUMENT…: builds parts of the workspace, with cargo's own progress when a person watches.
# Always the whole workspace with its features, even for one program: otherwise cargo would compile many crates twice.
build() {
  local what=$1 start=$SECONDS quiet=--quiet
  shift
  if [ -t 2 ]; then quiet=; else say "  building $what, the first time takes several minutes"; fi
  (cd "$ROOT" && cargo build $quiet --workspace "$@") || die "the build failed"
  say "  built $what  ($((SECONDS - start)) s)"
}

# programs_folder PROFILE: where they are.
programs_folder() { printf '%s/%s' "$CARGO_TARGET_DIR" "$1"; }
