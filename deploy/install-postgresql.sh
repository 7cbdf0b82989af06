#!/usr/bin/env bash
# Installs the PostgreSQL server that tests start for themselves, on Debian. Idempotent; needs root.
# Starts no service.
set -euo pipefail
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && exit 0
policy=/usr/sbin/policy-rc.d   # keeps Debian from starting a server as a service
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql
