#!/usr/bin/env bash
# Installs what the viewer tests need beside deploy/install-acceptance.sh, on Debian: a browser
# (Chromium, 440 MB), the web viewer OHIF as its makers built it (npm, 204 MB, into .viewer/),
# Playwright for Python, which drives the browser, axe, which looks for barriers, and other readers of results (PyPI and npm, into
# .viewer/readers and .viewer/npm). Idempotent; needs root for Debian's packages.
#   deploy/install-viewer.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
ohif=3.13.2
playwright=1.65.2
axe=0.1.8

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
  "playwright==$playwright" "axe-playwright-python==$axe"

folder=.viewer/ohif-$ohif
if [ ! -f "$folder/dist/index.html" ]; then
  mkdir -p "$folder"
  package=$(cd .viewer && npm pack --silent "@ohif/app@$ohif" | tail -1)
  tar xzf ".viewer/$package" -C "$folder" --strip-components=1
  rm -f ".viewer/$package"
fi
ln -sfn "ohif-$ohif/dist" .viewer/ohif

# libraries with which viewers in browsers read
if [ ! -d .viewer/npm/node_modules/dwv ]; then
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix .viewer/npm \
    dcmjs@0.52.2 dwv@0.36.4
fi

# readers of others, in an environment of their own: pydicom-seg wants a pydicom before 3
if [ ! -x .viewer/readers/bin/dcm2niix ]; then
  "$python" -m venv .viewer/readers
  .viewer/readers/bin/pip install --quiet --disable-pip-version-check \
    dcmqi==1.5.7 dcm2niix==1.0.20260724 pydicom-seg==0.4.1 'pydicom<3'
fi
echo "OHIF $ohif, $(chromium --version 2>/dev/null)"
