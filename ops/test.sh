#!/usr/bin/env bash
# Sets up and runs the whole test suite; arguments go to pytest.
#
# Without arguments the checks that need no running come first: format, lint, types, imports.
# All of them run even when one fails; the tests are last, so that the output ends with pytest's
# summary.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
ops/setup.sh dev || exit
readonly bin=.venv/bin

(($#)) && exec $bin/python -m pytest "$@"

failed=()
check() { printf '== %s\n' "$*"; "$bin/$@" || failed+=("$1 ${2:-}"); }
check ruff format --check .
check ruff check .
check mypy
check lint-imports
# What decides about money is covered whole, each branch of it, by its own quick tests.
check python -m pytest -q tests/unit/shared tests/unit/cloud/billing --cov-branch \
    --cov=shared.rating --cov=shared.money --cov=shared.settlement --cov=shared.tariff \
    --cov=cloud.billing.rules --cov-report=term-missing:skip-covered --cov-fail-under=100
# So is what decides about safety.
check python -m pytest -q tests/unit/shared/protection tests/unit/edge/safety --cov-branch \
    --cov=shared.protection --cov=edge.safety.rules --cov=edge.safety.findings \
    --cov=edge.safety.ruleset --cov=edge.safety.connector_values --cov=edge.safety.interlock \
    --cov-report=term-missing:skip-covered --cov-fail-under=100
printf '== pytest\n'
$bin/python -m pytest -n 2 --dist loadfile
status=$?
((${#failed[@]})) || exit $status
printf 'failed before the tests: %s\n' "${failed[*]}" >&2
exit 1
