#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: start GPUS processes of a script of this folder with torch's launcher.
#   tools/dist_run.sh GPUS SCRIPT [arguments of the script]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ -n "${PYTHON:-}" ]; then
    python=$PYTHON
elif [ -z "${VIRTUAL_ENV:-}" ] && [ -x "$here/../.venv/bin/python" ]; then
    python=$here/../.venv/bin/python
else
    python=$(command -v python || command -v python3)
fi
PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$1" \
    "$here/$2" "${@:3}" --launcher pytorch
