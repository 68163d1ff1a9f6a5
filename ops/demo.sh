#!/usr/bin/env bash
# Sets everything up and runs HQ, two stations and their simulated devices until Ctrl-C.
# Arguments go to `vw demo`; `--once --json` runs one scripted day.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
"$here/setup.sh" demo
exec "$here/../.venv/bin/vw" demo "$@"
