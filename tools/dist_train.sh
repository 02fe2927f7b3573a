#!/usr/bin/env bash
# Train on several GPUs of one or more nodes, or on several processes where there is no GPU.
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT in the environment, as for mmdet's script.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
config=$1 gpus=$2
exec bash "$(dirname "$0")/dist_run.sh" "$gpus" train.py "$config" "${@:3}"
