# To be sourced: installs Debian packages for tests that need the tools of others.
# shellcheck shell=bash

# install_packages PACKAGE...: their services are kept from starting: those would take ports, or change the machine's firewall.
# Returns 3 when this machine has no packages of Debian, 1 when they could not be installed.
install_packages() {
  command -v apt-get > /dev/null || { echo "error: there is no $* here, and no apt-get to install it" >&2; return 3; }
  local policy=/usr/sbin/policy-rc.d mine='' status=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy" && mine=yes
  fi
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2 || status=1
  [ -z "$mine" ] || rm -f "$policy"
  [ "$status" = 0 ] || echo "error: failed to install the Debian packages $*" >&2
  return $status
}
