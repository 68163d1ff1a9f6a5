#!/usr/bin/env bash
# Pins what pyproject.toml asks for, one file a role, all on the same versions.
#
#   ops/requirements/compile.sh [--upgrade]
#
# The files hold names, versions and hashes, no addresses: they install with uv and with pip.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
uv=(.uv/bin-*/bin/uv)
[[ -x ${uv[0]} ]] || uv=(.venv/bin/uv)
[[ -x ${uv[0]} ]] || { echo "compile: run ops/setup.sh first" >&2; exit 1; }

compile() {
    local role=$1
    shift
    "${uv[0]}" pip compile --quiet --no-config --universal --generate-hashes --python-version 3.11 \
        --no-annotate --no-emit-index-url --no-emit-find-links \
        --custom-compile-command ops/requirements/compile.sh \
        "$@" -o "ops/requirements/$role.txt"
}

compile dev pyproject.toml --extra edge --extra cloud --extra vision --extra embedded --extra dev "$@"
# The others may only narrow what dev pins.
compile demo pyproject.toml --extra edge --extra cloud --extra embedded -c ops/requirements/dev.txt
compile edge pyproject.toml --extra edge -c ops/requirements/dev.txt
compile cloud pyproject.toml --extra cloud -c ops/requirements/dev.txt
printf 'uv==%s\n' "$("${uv[0]}" --version | cut -d' ' -f2)" >ops/requirements/uv.in
compile uv ops/requirements/uv.in
