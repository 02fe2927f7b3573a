# Sourced by the launchers: $python is PYTHON, or that of the active environment (venv or conda), or the one that
# `make install` made, or the system's; the project is importable by it.
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -n "${PYTHON:-}" ]; then
    python=$PYTHON
elif [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "$tools/../.venv/bin/python" ]; then
    python=$tools/../.venv/bin/python
else
    python=$(command -v python || command -v python3)
fi
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
if [ "${NNODES:-1}" != 1 ]; then
    # Read when torch is imported: otherwise pages of warnings when node 0 ends a moment earlier.
    export TORCH_CPP_LOG_LEVEL=${TORCH_CPP_LOG_LEVEL:-ERROR}
fi
