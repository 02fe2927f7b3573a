#!/usr/bin/env bash
# Try a config before a long run: train two iterations (in mixed precision if there is a GPU), save a checkpoint, resume
# from it and test in all processes, with two images per process, on a miniature of COCO, ADE20K or ImageNet-1K that has
# enough images for any number of processes. Configs for other data, such as CIFAR, need DATA=own.
#   tools/dist_smoke.sh CONFIG PROCESSES [KEY=VALUE ...]      (KEY=VALUE as for --cfg-options)
# Environment: DATA=own uses the config's own data; SHRINK=N divides the sides of images by N and loads no pretrained
# weights (default: 1 with a GPU, else 8); SMOKE_DIR is the output folder (default: work_dirs/smoke).
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG PROCESSES [KEY=VALUE ...]" >&2
    exit 2
fi
if [ "${NNODES:-1}" != 1 ]; then
    echo "$0 runs on one node: unset NNODES, and call it on each node with a SMOKE_DIR of its own" >&2
    exit 2
fi
tools=$(cd "$(dirname "$0")" && pwd)
python=$("$tools/launch.sh" python)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}" PYTHON=$python
folder=${SMOKE_DIR:-work_dirs/smoke}/$(basename "$1" .py)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
rm -rf "$folder/run"
read -r amp default <<< "$("$python" -c 'import torch; print("--amp 1" if torch.cuda.is_available() else "\"\" 8")')"
[ "$amp" = --amp ] || amp=
"$python" "$tools/smoke_config.py" "$1" "$folder" "${SHRINK:-$default}" "${DATA:-miniature}" "$2" "${@:3}"
[ "${DATA:-miniature}" = own ] || cd "$folder"
config=$folder/config.py options=(log_level=INFO "${@:3}")
if grep -q 'max_iters=' "$config"; then longer=(train_cfg.max_iters=4); else longer=(train_cfg.max_epochs=2); fi
train=("$tools/dist_train.sh" "$config" "$2" --work-dir "$folder/run" $amp)
"${train[@]}" --cfg-options "${options[@]}"
"${train[@]}" --resume --cfg-options "${options[@]}" "${longer[@]}" | tee "$folder/resumed.txt"
grep -Eq 'resumed epoch: 1|iter: 2$' "$folder/resumed.txt"
"$tools/dist_test.sh" "$config" "$(cat "$folder/run/last_checkpoint")" "$2" --work-dir "$folder/test" \
    --cfg-options "${options[@]}"
echo "smoke test of $1 in $2 processes: all steps OK"
