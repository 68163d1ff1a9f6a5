#!/usr/bin/env bash
# Makes .venv from the pinned requirements of one role, and .venv/bin/vw.
#
#   ops/setup.sh [edge|cloud|demo|dev]     default: dev, which holds all the others
#
# Where dev is installed it stays dev, whatever role is asked for.
#
# Needs Python >= 3.11 with pip, nothing else: no root, no venv module, no home folder. It never
# touches the system's Python. A second run only compares a stamp. Talks on stderr.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly root=$PWD
role=${1:-dev}
readonly tools=$root/.uv
readonly stamp=.venv/.voltwarden

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

[[ -f ops/requirements/$role.txt ]] || die "no role '$role'; there is: edge, cloud, demo, dev"
grep -qs '^dev ' "$stamp" && role=dev
readonly role requirements=ops/requirements/$role.txt

# What an installation of a role depends on; the path counts because the launcher holds it.
fingerprint() { { printf '%s\n' "$root" "$1"; cat "ops/requirements/$1.txt" ops/requirements/uv.txt pyproject.toml ops/setup.sh; } | sha256sum | cut -c1-64; }

is_installed() {
    [[ -x .venv/bin/vw && -x .venv/bin/python && -f $stamp ]] || return 1
    grep -qx "$role $(fingerprint "$role")" "$stamp"
}

find_python() {
    local candidate path
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        # sys.executable sees through shims, and `-I` through a stray PYTHONPATH.
        path=$("$candidate" -I -c 'import sys; sys.version_info >= (3, 11) and print(sys.executable)' 2>/dev/null) || continue
        [[ -n $path ]] && "$path" -m pip --version >/dev/null 2>&1 && { printf '%s\n' "$path"; return; }
    done
    die "needs Python 3.11 or newer with pip; on Debian: apt-get install python3-pip"
}

# uv goes into a folder of its own: --target is allowed where PEP 668 guards the system's Python.
install_uv() {
    local python=$1
    local folder=$tools/bin-$(sha256sum ops/requirements/uv.txt | cut -c1-12)
    uv=$folder/bin/uv
    [[ -x $uv ]] && return
    say "fetching uv"
    rm -rf "$folder" "$folder.part"
    PIP_USER=0 PIP_ROOT_USER_ACTION=ignore PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
        "$python" -m pip install --quiet --no-cache-dir --no-deps --no-compile --only-binary :all: \
        --require-hashes --target "$folder.part" -r ops/requirements/uv.txt >&2 ||
        die "pip could not fetch uv (see above); is a package index reachable?"
    mv "$folder.part" "$folder"
}

# Where pip was told to use a mirror, uv is told the same.
use_pip_index() {
    local index
    [[ -n ${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-} ]] && return
    if index=$("$1" -m pip config get global.index-url 2>/dev/null) && [[ -n $index ]]; then
        export UV_DEFAULT_INDEX=$index
    fi
}

make_venv() {
    local python=$1
    if .venv/bin/python -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        return
    fi
    say "making .venv with $python"
    "$uv" venv --quiet --no-project --clear --python "$python" .venv >&2
}

# A path file, a launcher and the name instead of an editable install: nothing to build or fetch.
install_voltwarden() {
    local packages version info
    packages=$(.venv/bin/python -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml | head -1)
    rm -rf "$packages"/voltwarden-*.dist-info
    info=voltwarden-$version.dist-info
    mkdir "$packages/$info"
    printf 'Metadata-Version: 2.1\nName: voltwarden\nVersion: %s\n' "$version" >"$packages/$info/METADATA"
    printf 'ops/setup.sh\n' >"$packages/$info/INSTALLER"
    printf '%s,,\n' voltwarden.pth "$info"/{METADATA,INSTALLER,RECORD} >"$packages/$info/RECORD"
    printf '%s\n' "$root" >"$packages/voltwarden.pth"
    cat >.venv/bin/vw.part <<'LAUNCHER'
#!/bin/sh
'''exec' "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"
' '''
import sys

from ops.cli import main

sys.exit(main())
LAUNCHER
    chmod +x .venv/bin/vw.part
    mv .venv/bin/vw.part .venv/bin/vw
}

is_installed && exit 0

mkdir -p "$tools"
if command -v flock >/dev/null; then
    exec 9>"$tools/lock"
    flock 9
    is_installed && exit 0
fi

export UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1
# Trust whom the system (and so Debian's pip) trusts: a company's proxy has its own authority.
[[ -e /etc/ssl/certs/ca-certificates.crt ]] && export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}
readonly home=${HOME:-/nonexistent}
if [[ -z ${UV_CACHE_DIR:-}${XDG_CACHE_HOME:-} ]] &&
    ! { [[ -d $home && -w $home ]] && mkdir -p "$home/.cache/uv" 2>/dev/null && [[ -w $home/.cache/uv ]]; }; then
    export UV_CACHE_DIR=$tools/cache
fi

python=$(find_python)
install_uv "$python"
make_venv "$python"
use_pip_index "$python"
say "installing $requirements"
"$uv" pip sync --quiet --require-hashes --python .venv/bin/python "$requirements" >&2
install_voltwarden
printf '%s %s\n' "$role" "$(fingerprint "$role")" >"$stamp"
say "ready: .venv/bin/vw"
