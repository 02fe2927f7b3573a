#!/usr/bin/env bash
# Train a model under slurm on one or more nodes. If a batch job is preempted or near its time limit (exit code 143),
# queue it again: with sbatch --requeue --open-mode=append --signal=USR1@120 and --resume, it goes on.
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS=...] \
#       tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2
    exit 2
fi
srun='' is_preempted=''
trap 'is_preempted=yes; [ -z "$srun" ] || kill -USR1 "$srun"' USR1 TERM HUP    # srun forwards SIGUSR1 to all ranks
trap 'kill -INT "$srun"' INT
code=143
if [ -z "$is_preempted" ]; then
    PARTITION=$1 JOB_NAME=$2 "$(dirname "$0")/launch.sh" slurm train.py "$3" --work-dir "$4" "${@:5}" &
    srun=$!
    while kill -0 "$srun" 2> /dev/null; do wait "$srun" || true; done    # a signal ends a wait
    code=0
    wait "$srun" || code=$?
fi
# 138: SIGUSR1 has ended a rank, or srun, that did not handle it yet. Then nothing was saved and nothing is lost.
if [ "$code" = 138 ] && [ -n "$is_preempted" ]; then code=143; fi
# A job that scancel has ended is not running.
if [ "$code" = 143 ] && [ -n "${SLURM_JOB_ID:-}" ] && [ "$(squeue -h -j "$SLURM_JOB_ID" -o %T)" = RUNNING ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
