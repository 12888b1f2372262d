# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Installs Debian and Ubuntu packages, only those that are missing, for quickstart and check.

# What building needs; the names hold for Debian 12 and 13 and Ubuntu 22.04 and 24.04.
# shellcheck disable=SC2034  # used by those who source this file
build_packages=(g++ cmake ninja-build pkg-config libfuse3-dev fuse3 libsodium-dev liblmdb-dev libxxhash-dev libseccomp-dev
  nlohmann-json3-dev '?libsystemd-dev' '?libqrencode-dev')
# For keys that a device keeps. A build without them says so when somebody asks for such a key.
# shellcheck disable=SC2034
device_packages=('?libsecret-1-dev' '?libfido2-dev' '?libtss2-dev')

# No grep -q: it leaves early, and then `set -o pipefail` counts the writer's broken pipe as "no".
is_installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep '^install ok installed' >/dev/null; }
is_available() { apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [^(]' >/dev/null; }

# pkg-config is a virtual name where pkgconf has replaced it.
is_there() { is_installed "$1" || { [ "$1" = pkg-config ] && command -v pkg-config >/dev/null; }; }

# as_root COMMAND...: runs it as root if that is possible without a surprise; 1 if it is not.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  elif command -v sudo >/dev/null && [ -t 0 ] && [ -t 2 ]; then
    echo "Administrator rights are needed for: $*" >&2
    sudo "$@"
  else
    return 1
  fi
}

# need_packages NAME...: installs what is missing. `a|b` is whichever is there or can be had; `?a` may be missing.
# Returns 1, after saying what to do, if something that is needed could not be installed.
need_packages() {
  command -v apt-get >/dev/null || {
    echo "No apt-get here: install by your own means: $*" >&2
    return 0
  }
  local wanted choice choices found missing=() install=()
  for wanted in "$@"; do
    found=
    IFS='|' read -ra choices <<<"${wanted#\?}"
    for choice in "${choices[@]}"; do if is_there "$choice"; then found=1; fi; done
    [ -n "$found" ] || missing+=("$wanted")
  done
  [ ${#missing[@]} -gt 0 ] || return 0

  # A fresh machine knows no packages until its first update, and old lists lead to files that are gone.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || true
  for wanted in "${missing[@]}"; do
    found=
    IFS='|' read -ra choices <<<"${wanted#\?}"
    for choice in "${choices[@]}"; do
      if [ -z "$found" ] && is_available "$choice"; then
        install+=("$choice")
        found=1
      fi
    done
    # A name that apt does not know goes to it all the same, for its message.
    if [ -z "$found" ] && [[ $wanted != \?* ]]; then install+=("${choices[0]}"); fi
  done
  if [ ${#install[@]} -gt 0 ]; then
    echo "Installing: ${install[*]}" >&2
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${install[@]}" >&2; then
      echo "These packages are missing and could not be installed:" >&2
      echo "    sudo apt-get install --no-install-recommends ${install[*]}" >&2
      return 1
    fi
  fi
}
