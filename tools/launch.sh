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
# After a signal torchrun kills ranks that have not ended, by default after 30 s, in which a large checkpoint is not
# saved. Older versions of torch do not know this variable.
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-300}
# Torchrun's default rendezvous, where ranks use the addresses of the start, cannot restart them.
address=${MASTER_ADDR:-127.0.0.1} port=${PORT:-29500}
rendezvous=(--node-rank="${NODE_RANK:-0}" --master-addr="$address" --master-port="$port")
if [ "${MAX_RESTARTS:-0}" != 0 ]; then
    if [ "$2" = train.py ] && [[ " ${*:3} " != *" --resume"* ]]; then
        echo "MAX_RESTARTS=$MAX_RESTARTS needs --resume: else the restarted training stops at its own checkpoints" >&2
        exit 2
    fi
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1    # else the ranks get the addresses of the start
    is_host=$([ "${NODE_RANK:-0}" = 0 ] && echo true || echo false)
    rendezvous=(--rdzv-backend=c10d --rdzv-endpoint="$address:$port" --rdzv-conf="is_host=$is_host"
        --rdzv-id="mmgcvit$port" --max-restarts="$MAX_RESTARTS")
    if [ "${NNODES:-1}" = 1 ]; then rendezvous+=(--local-addr="$address"); fi
elif [[ " ${TORCHRUN_ARGS:-} " = *" --max-restarts"* ]] && [[ " ${TORCHRUN_ARGS:-} " != *" --rdzv-backend"* ]]; then
    echo "set MAX_RESTARTS=N instead of --max-restarts in TORCHRUN_ARGS: restarts need another rendezvous" >&2
    exit 2
fi
# torchrun forwards these signals to its processes. torch 2.1 has no such setting and forwards only SIGTERM and SIGINT.
export PET_SIGNALS_TO_HANDLE=${PET_SIGNALS_TO_HANDLE:-SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1}
exec "$python" "$tools/torchrun.py" --nnodes="${NNODES:-1}" "${rendezvous[@]}" --nproc-per-node="$1" \
    ${TORCHRUN_ARGS:-} "$tools/$2" "${@:3}" --launcher pytorch
