#!/usr/bin/env bash
# Test on several GPUs of one or more nodes, or on several processes where there is no GPU.
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT in the environment, as for mmdet's script; docs/launching.md.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
source "$(dirname "$0")/shell/find_python.sh"
exec "$python" -m mmgcvit launch "$3" test "$1" "$2" "${@:4}"
