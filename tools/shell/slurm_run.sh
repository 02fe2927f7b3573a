#!/usr/bin/env bash
# What slurm_train.sh and slurm_test.sh share: one srun of train.py or test.py, one task per GPU.
#   tools/shell/slurm_run.sh PARTITION JOB_NAME SCRIPT CONFIG [arguments of the script]
set -euo pipefail
source "$(dirname "$0")/find_python.sh"
partition=$1 job=$2 script=$3 config=$4
gpus=${GPUS:-8} cpus=${CPUS_PER_TASK:-5}
per_node=${GPUS_PER_NODE:-$([[ $gpus == [1-7] ]] && echo "$gpus" || echo 8)}
for name in gpus per_node cpus; do
    if ! [[ ${!name} =~ ^[1-9][0-9]*$ ]]; then
        echo "GPUS, GPUS_PER_NODE and CPUS_PER_TASK must be whole numbers of 1 or more, not '${!name}'" >&2
        exit 2
    fi
done
if [ "$per_node" -gt "$gpus" ]; then
    echo "GPUS_PER_NODE=$per_node is more than GPUS=$gpus; GPUS is the number on all nodes together" >&2
    exit 2
fi
if [ ! -f "$config" ]; then
    echo "there is no config $config; the configs of this project are under configs/" >&2
    exit 2
fi
if ! command -v srun > /dev/null; then
    echo 'there is no srun here: this script is for a slurm cluster; on a machine of your own use tools/dist_*.sh' >&2
    exit 2
fi
gres=${GRES-gpu:$per_node}
if [ -z "$gres" ] && [[ ${SRUN_ARGS:-} != *gpu* && ${SRUN_ARGS:-} != *gres* ]]; then
    # The CPU is asked for: a node that has GPUs shows them all the same.
    export CUDA_VISIBLE_DEVICES=-1
fi
read -r -a extra <<< "${SRUN_ARGS:-}"
if [ -n "${PORT:-}" ]; then
    export MASTER_PORT=$PORT
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$cpus} MKL_NUM_THREADS=${MKL_NUM_THREADS:-${OMP_NUM_THREADS:-$cpus}}
exec srun -p "$partition" \
    --job-name="$job" \
    ${gres:+--gres="$gres"} \
    --ntasks="$gpus" \
    --ntasks-per-node="$per_node" \
    --cpus-per-task="$cpus" \
    --kill-on-bad-exit=1 \
    ${extra[@]+"${extra[@]}"} \
    "$python" -u "$tools/$script" "${@:4}" --launcher slurm
