#!/usr/bin/env bash
# Train a model under slurm on one or more nodes.
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS=...] \
#       tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2
    exit 2
fi
PARTITION=$1 JOB_NAME=$2 exec "$(dirname "$0")/launch.sh" slurm train.py "$3" --work-dir "$4" "${@:5}"
