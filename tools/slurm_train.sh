#!/usr/bin/env bash
# Train under slurm, on one or more nodes.
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS=...] \
#       tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
# GRES= (empty) asks for no GPUs; PORT is chosen by the job unless given; docs/launching.md.
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2
    exit 2
fi
exec bash "$(dirname "$0")/shell/slurm_run.sh" "$1" "$2" train.py "$3" --work-dir "$4" "${@:5}"
