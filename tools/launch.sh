#!/usr/bin/env bash
# Start a script with torchrun or srun. The launchers call this file.
#   tools/launch.sh GPUS SCRIPT [arguments]      with torchrun, for dist_*.sh
#   tools/launch.sh slurm SCRIPT [arguments]     with srun, for slurm_*.sh; the environment has PARTITION and JOB_NAME
#   tools/launch.sh python                       print the Python that is used: PYTHON, the active environment's or .venv's
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python}
if [ -z "${PYTHON:-}${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "$tools/../.venv/bin/python" ]; then
    python=$tools/../.venv/bin/python
fi
if [ "$1" = python ]; then
    command -v "$python"
    exit
fi
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
if [ "$1" = slurm ]; then
    gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8}
    exec srun -p "$PARTITION" --job-name="$JOB_NAME" --gres="gpu:$per_node" --ntasks="$gpus" \
        --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
        "$python" -u "$tools/$2" "${@:3}" --launcher slurm
fi
# torchrun forwards these signals to its processes. torch 2.1 has no such setting and forwards only SIGTERM and SIGINT.
export PET_SIGNALS_TO_HANDLE=${PET_SIGNALS_TO_HANDLE:-SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1}
exec "$python" "$tools/torchrun.py" --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" --nproc-per-node="$1" \
    ${TORCHRUN_ARGS:-} "$tools/$2" "${@:3}" --launcher pytorch
