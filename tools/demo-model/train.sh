#!/usr/bin/env bash
# Trains the demo model from nothing and writes crates/engine/models/tollgate-demo-q8_0.gguf and score.json.
# Needs Python 3.11 or newer; makes its own environment. Options go to train.py, for example --resume.
set -euo pipefail
cd "$(dirname "$0")"

if [ ! -x .venv/bin/python ]; then
    echo "making .venv and installing requirements.txt into it"
    python3 -m venv .venv
    .venv/bin/pip install --quiet --requirement requirements.txt
fi

# One thread: the steps are small, and a second thread spends most of its time waiting.
export OMP_NUM_THREADS=1 JAX_PLATFORMS=cpu
export XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
exec nice -n 5 .venv/bin/python train.py "$@"
