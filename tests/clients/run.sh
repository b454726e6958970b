#!/bin/sh
# Runs agents and frameworks, as their registries have them, through Tollgate against the scripted providers.
#
#   tests/clients/run.sh [arguments of pytest]
#
# Installs the pinned clients into .venv and node_modules when they are missing: 900 MB, most of it two agents.
# The binaries come from TESTKIT_BIN and TOLLGATE_BIN, else from the newest build under CARGO_TARGET_DIR or target/.
set -eu
cd "$(dirname "$0")"

# A stamp tells a finished installation from a broken one.
if ! cmp -s requirements.txt .venv/installed.txt; then
    echo "Installing requirements.txt into tests/clients/.venv" >&2
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt .venv/installed.txt
fi
if ! cmp -s package-lock.json node_modules/installed.json; then
    echo "Installing package-lock.json into tests/clients/node_modules" >&2
    npm ci --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error
    # Puts its program in place; says itself when there is nothing to do.
    node node_modules/@anthropic-ai/claude-code/install.cjs >&2
    cp package-lock.json node_modules/installed.json
fi

exec .venv/bin/python -m pytest -q "$@"
