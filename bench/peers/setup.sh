#!/usr/bin/env bash
# Makes the Python environment of the peers, once: bench/peers/setup.sh [FOLDER]     default: build/peers/venv
#
# PyTorch is the one that the Python already has. On Debian, as root, python3-torch is installed where there is
# none (the wheels of the default index bring 3 GB of CUDA); elsewhere bring your own: PYTHON=/path/to/python3 names
# the interpreter to build on. What cannot be had is told here and listed as missing in the tables.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
venv=${1-$here/../../build/peers/venv}
stamp=$venv/.requirements
say() { printf 'peers: %s\n' "$*" >&2; }

if [ -e "$stamp" ] && cmp -s "$here/requirements.txt" "$stamp"; then exit; fi

has_torch() { "$1" -c 'import torch' >/dev/null 2>&1; }
python=${PYTHON-}
if [ -z "$python" ]; then
  for candidate in python3 /usr/bin/python3; do
    command -v "$candidate" >/dev/null || continue
    [ -n "$python" ] || python=$candidate
    if has_torch "$candidate"; then
      python=$candidate
      break
    fi
  done
fi
[ -n "$python" ] || {
  say "no python3, want Python 3.9 or later"
  exit 1
}
if ! has_torch "$python" && [ -z "${PYTHON-}" ] && [ "$(id -u)" = 0 ] && [ -x /usr/bin/python3 ] && command -v apt-get >/dev/null; then
  say "installing python3-torch, python3-torchvision and python3-venv"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends python3-torch python3-torchvision python3-venv; } >/dev/null || say "that failed"
  ! has_torch /usr/bin/python3 || python=/usr/bin/python3
fi
has_torch "$python" || say "$python has no PyTorch, so no peer can run: weights are exported through it"

rm -rf "$venv"
mkdir -p "$(dirname "$venv")"
"$python" -m venv --system-site-packages "$venv"
status=0
while read -r requirement; do
  case $requirement in '' | '#'*) continue ;; esac
  # One by one: a wheel that this machine cannot have is no reason to do without the others.
  "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps "$requirement" || {
    say "$requirement could not be installed"
    status=1
  }
done <"$here/requirements.txt"
[ $status -ne 0 ] || cp "$here/requirements.txt" "$stamp"
say "environment in $venv"
