#!/bin/sh
# Runs the official SDKs of OpenAI, Anthropic, Google and Mistral against the scripted providers and against Tollgate.
#
#   tests/sdk/run.sh            all suites
#   tests/sdk/run.sh testkit    the SDKs straight at the scripted providers
#   tests/sdk/run.sh tollgate   the SDKs through Tollgate, every pairing
#   tests/sdk/run.sh grid       the conformance grid, and whether docs/conformance.md says what it shows
#   tests/sdk/run.sh page       the grid, written to docs/conformance.md
#
# Installs the pinned SDKs into python/.venv and js/node_modules when they are missing. The binaries come from
# TESTKIT_BIN and TOLLGATE_BIN, else from the newest build under CARGO_TARGET_DIR or target/.
set -eu
cd "$(dirname "$0")"

suite=${1:-all}
case $suite in
    all | testkit | tollgate | grid | page) ;;
    *) echo "usage: $0 [all|testkit|tollgate|grid|page]" >&2; exit 2 ;;
esac

# One virtual environment per SDK generation. A stamp tells a finished installation from a broken one.
python_environment() {
    environment=python/.venv/$1
    requirements=python/$2
    if ! cmp -s "$requirements" "$environment/installed.txt"; then
        echo "Installing $requirements into tests/sdk/$environment" >&2
        rm -rf "$environment"
        python3 -m venv "$environment"
        "$environment/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
        cp "$requirements" "$environment/installed.txt"
    fi
}

python_environment newest requirements.txt
python_environment api-2023 requirements-2023.txt
if ! cmp -s js/package-lock.json js/node_modules/installed.json; then
    echo "Installing js/package-lock.json into tests/sdk/js/node_modules" >&2
    npm ci --prefix js --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error
    cp js/package-lock.json js/node_modules/installed.json
fi

# All suites run, whatever fails first: one run shows the whole picture.
failed=
step() {
    echo "== $1"
    shift
    (cd "$directory" && "$@") || failed=yes
}

directory=python
for name in testkit tollgate; do
    [ "$suite" = all ] || [ "$suite" = "$name" ] || continue
    files=$(cd python && ls test_"$name"_*.py)
    # Word splitting is wanted: one argument per file.
    step "Python, newest SDKs, $name" .venv/newest/bin/python -m pytest -q $files
    step "Python, Anthropic API 2023-06-01, $name" .venv/api-2023/bin/python -m pytest -q "test_${name}_anthropic.py"
done
case $suite in all | grid | page)
    results=$(mktemp)
    write=
    [ "$suite" = page ] && write=--write
    step "Python, the conformance grid" env CONFORMANCE_RESULTS="$results" .venv/newest/bin/python -m pytest -q test_grid.py
    step "The page of the grid" env PYTHONPATH=../../processes .venv/newest/bin/python conformance_page.py "$results" $write
    rm -f "$results"
    ;;
esac
directory=js
for name in testkit tollgate; do
    [ "$suite" = all ] || [ "$suite" = "$name" ] || continue
    step "JavaScript, $name" node --test --test-reporter=dot "$name.test.mjs"
done
[ -z "$failed" ]
