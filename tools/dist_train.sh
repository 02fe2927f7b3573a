#!/usr/bin/env bash
# Train on several GPUs of one or more nodes, or on several processes where there is no GPU.
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT in the environment, as for mmdet's script; docs/launching.md.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
source "$(dirname "$0")/shell/find_python.sh"
exec "$python" -m mmgcvit launch "$2" train "$1" "${@:3}"
