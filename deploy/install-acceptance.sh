#!/usr/bin/env bash
# Installs what the acceptance tests need on Debian: a PACS (Orthanc), DICOM clients (DCMTK) and
# validators (dicom3tools; PixelMed, in Java), and Prometheus with its promtool. Idempotent; needs root. Starts no service.
set -euo pipefail
missing=""
for package in orthanc orthanc-dicomweb dcmtk dicom3tools libpixelmed-java prometheus nginx-light logrotate; do
  dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
command -v java >/dev/null || missing="$missing default-jre-headless"
[ -z "$missing" ] && exit 0
policy=/usr/sbin/policy-rc.d   # keeps Debian from starting them as services
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086  # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
