#!/usr/bin/env bash
# Train a model on several GPUs of one or more nodes, or in several CPU processes if there is no GPU.
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Environment: NNODES, NODE_RANK, MASTER_ADDR and PORT, as for mmdet's script, and PYTHON. See docs/launching.md.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
exec "$(dirname "$0")/launch.sh" "$2" train.py "$1" "${@:3}"
