# Installs what is missing, and only that: build tools, Rust, PostgreSQL and Redis. Source it after common.sh.
# Nothing is started: the project runs servers of its own, so packages must not start theirs, now or at the next boot.
# shellcheck shell=bash

MIN_POSTGRES=15
MIN_REDIS=7
MIN_RUST=$(sed -n 's/^rust-version = "1\.\([0-9]*\).*/\1/p' "$ROOT/Cargo.toml")

# install_all: everything that building, running and testing need. Silent and fast when nothing is missing.
install_all() {
  local packages
  packages=$(missing_packages)
  if [ -n "$packages" ]; then
    if have brew; then
      # shellcheck disable=SC2086 # a list of names
      step "installed$packages with Homebrew" brew install $packages
    elif have apt-get; then
      install_with_apt "$packages"
    else
      die "please install:$packages (this script knows apt-get and Homebrew)"
    fi
    packages=$(missing_packages)
    [ -z "$packages" ] || die "still missing after the installation:$packages"
  fi
  install_rust
}

# missing_packages: the names of the packages that are needed and not there, in the language of the system's package manager.
missing_packages() {
  local list=""
  if have brew || [ "$(uname -s)" = Darwin ]; then
    have cc || die "please run: xcode-select --install"
    has_postgres || list="$list postgresql@17"
    has_redis || list="$list redis"
  else
    have cc || list="$list gcc libc6-dev"
    have make || list="$list make"
    have pkg-config || list="$list pkg-config"
    have curl || list="$list curl"
    [ -e /etc/ssl/certs/ca-certificates.crt ] || list="$list ca-certificates"
    has_postgres || list="$list postgresql"
    has_redis || list="$list redis-server"
  fi
  printf '%s' "$list"
}

# The same places in which dev/src/stack/postgres/binaries.rs looks.
has_postgres() {
  local folder
  for folder in $(printf '%s' "$PATH" | tr ':' ' ') /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin \
    /usr/local/opt/postgresql@*/bin /usr/local/pgsql/bin /Applications/Postgres.app/Contents/Versions/*/bin; do
    if [ -x "$folder/postgres" ] && [ -x "$folder/initdb" ] &&
      version_at_least "$MIN_POSTGRES" "$("$folder/postgres" --version | awk '{ print $3 }')"; then
      return 0
    fi
  done
  return 1
}

has_redis() {
  local server
  for server in redis-server valkey-server; do
    if have "$server" && version_at_least "$MIN_REDIS" "$("$server" --version | sed -n 's/.* v=\([0-9.]*\).*/\1/p')"; then
      return 0
    fi
  done
  return 1
}

install_with_apt() {
  local packages=$1 package new_servers=""
  for package in redis-server postgresql; do
    case $packages in *"$package"*) is_installed "$package" || new_servers="$new_servers $package" ;; esac
  done
  # An old or empty package list is the only reason to fetch a new one.
  # shellcheck disable=SC2086 # a list of names
  apt-get install --simulate $packages >/dev/null 2>&1 || step "updated the package list" with_root apt-get update
  hold_services
  case $packages in
    *postgresql*)
      # Its configuration says whether the server package makes (and starts) a cluster of its own: not here. It comes first, so that
      # the setting is there in time, and is put back afterwards.
      step "installed postgresql-common" apt_install postgresql-common
      with_root cp -p "$CREATECLUSTER" "$CREATECLUSTER.wallet-kept"
      printf 'create_main_cluster = false\n' | with_root tee -a "$CREATECLUSTER" >/dev/null
      ;;
  esac
  # shellcheck disable=SC2086 # a list of names
  step "installed$packages" apt_install $packages
  release_services
  for package in $new_servers; do disable_at_boot "$package"; done
}

is_installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q ' installed$'; }

apt_install() {
  # A package of today's list can be gone from the server: then the list is fetched again, once.
  apt_get install "$@" || { with_root apt-get update && apt_get install "$@"; }
}

apt_get() {
  with_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -y --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "$@"
}

CREATECLUSTER=/etc/postgresql-common/createcluster.conf
POLICY=/usr/sbin/policy-rc.d

# Debian's packages ask policy-rc.d whether they may start their service; 101 means no.
hold_services() {
  trap release_services EXIT
  if [ -e "$POLICY" ] && [ ! -e "$POLICY.wallet-kept" ]; then
    with_root mv "$POLICY" "$POLICY.wallet-kept"
  fi
  printf '#!/bin/sh\n# for the time of an installation by %s\nexit 101\n' "$ROOT/bin" | with_root tee "$POLICY" >/dev/null
  with_root chmod 755 "$POLICY"
}

# Puts both settings back as they were found; also after a failure.
release_services() {
  trap - EXIT
  if [ -e "$POLICY.wallet-kept" ]; then
    with_root mv -f "$POLICY.wallet-kept" "$POLICY"
  else
    with_root rm -f "$POLICY"
  fi
  if [ -e "$CREATECLUSTER.wallet-kept" ]; then
    with_root mv -f "$CREATECLUSTER.wallet-kept" "$CREATECLUSTER"
  fi
}

disable_at_boot() {
  if have systemctl; then
    with_root systemctl --quiet disable "$1.service" >/dev/null 2>&1 || true
  elif have deb-systemd-helper; then
    # No systemd here, but one may boot this system later (a container's image, a chroot). The helper insists on a package's name.
    with_root env DPKG_MAINTSCRIPT_PACKAGE="$1" deb-systemd-helper disable "$1.service" >/dev/null 2>&1 || true
  fi
}

install_rust() {
  [ ! -d "$HOME/.cargo/bin" ] || case ":$PATH:" in
    *":$HOME/.cargo/bin:"*) ;;
    *) PATH="$HOME/.cargo/bin:$PATH" ;;
  esac
  if ! has_rust; then
    step "installed rustup" install_rustup
    PATH="$HOME/.cargo/bin:$PATH"
  fi
  export PATH
  # The toolchain that rust-toolchain.toml asks for.
  if have rustup && ! (cd "$ROOT" && rustup show active-toolchain && rustc --version) >/dev/null 2>&1; then
    step "installed the Rust toolchain" install_toolchain
  fi
}

# A distribution's cargo can be years too old. (Asked outside the repository, where no toolchain file makes rustup fetch one.)
has_rust() {
  local minor
  have rustup && return 0
  have cargo || return 1
  minor=$(cd / && cargo --version | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
  [ -n "$minor" ] && [ "$minor" -ge "$MIN_RUST" ]
}

install_rustup() {
  curl --proto '=https' --tlsv1.2 -sSf --retry 3 https://sh.rustup.rs |
    sh -s -- -y --no-modify-path --profile minimal --default-toolchain none
}

install_toolchain() {
  local channel
  channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$ROOT/rust-toolchain.toml")
  rustup toolchain install "$channel" --profile minimal --component rustfmt --component clippy
}
