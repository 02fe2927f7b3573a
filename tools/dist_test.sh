#!/usr/bin/env bash
# Test a model on several GPUs of one or more nodes, or in several CPU processes if there is no GPU.
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# Environment: NNODES, NODE_RANK, MASTER_ADDR and PORT, as for mmdet's script, and PYTHON. See docs/launching.md.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
exec "$(dirname "$0")/launch.sh" "$3" test.py "$1" "$2" "${@:4}"
