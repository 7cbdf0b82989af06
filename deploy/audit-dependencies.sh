#!/usr/bin/env bash
# Looks for known vulnerabilities in what constraints.txt pins (pip-audit, in an environment of its own).
# Ends with 1 if there are any, and with 3 if nobody could be asked.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${AUDIT_VENV:-.venv-audit}
advisories=https://pypi.org/pypi/pip/25.0/json  # any answer of the service that pip-audit asks

if ! ${PYTHON:-python3} - "$advisories" <<'PYTHON'
import json, sys, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=20) as answer:
        sys.exit("vulnerabilities" not in json.load(answer))
except (OSError, ValueError) as fault:
    sys.exit(f"{sys.argv[1]}: {fault}")
PYTHON
then
  echo "NOT AUDITED: the advisories of PyPI cannot be reached from here." >&2
  exit 3
fi
[ -x "$venv/bin/pip-audit" ] || {
  ${PYTHON:-python3} -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
}
exec "$venv/bin/pip-audit" --strict --disable-pip --no-deps --requirement constraints.txt
