#!/usr/bin/env bash
# Installs what the viewer tests need beside deploy/install-acceptance.sh, on Debian: a browser
# (Chromium, 440 MB), the web viewer OHIF as its makers built it (npm, 204 MB, into .viewer/) and
# Playwright for Python, which drives the browser. Idempotent; needs root for Debian's packages.
#   deploy/install-viewer.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
ohif=3.13.2
playwright=1.65.2

missing=""
command -v chromium >/dev/null || missing="chromium fonts-dejavu-core"
command -v npm >/dev/null || missing="$missing npm"
if [ -n "$missing" ]; then
  apt-get update -qq
  # shellcheck disable=SC2086  # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi

# the wheel brings no browser: Debian's is used
"$python" -m pip install --quiet --disable-pip-version-check -c constraints.txt \
  "playwright==$playwright"

folder=.viewer/ohif-$ohif
if [ ! -f "$folder/dist/index.html" ]; then
  mkdir -p "$folder"
  package=$(cd .viewer && npm pack --silent "@ohif/app@$ohif" | tail -1)
  tar xzf ".viewer/$package" -C "$folder" --strip-components=1
  rm -f ".viewer/$package"
fi
ln -sfn "ohif-$ohif/dist" .viewer/ohif
echo "OHIF $ohif, $(chromium --version 2>/dev/null)"
