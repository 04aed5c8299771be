# Building our programs. Source it after install.sh.
# shellcheck shell=bash

# build_programs [CARGO ARGUMENT…]: builds every binary of the workspace with cargo's own progress; quiet when nothing changed.
build_programs() {
  local start=$SECONDS
  (cd "$ROOT" && cargo build --quiet --workspace --bins "$@") || die "the build failed"
  say "  programs built  ($((SECONDS - start)) s)"
}

# programs_folder PROFILE: where they are.
programs_folder() { printf '%s/%s' "$CARGO_TARGET_DIR" "$1"; }
