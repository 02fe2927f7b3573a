#!/usr/bin/env bash
# Try a config on several GPUs before a long run: train (in mixed precision if there is a GPU), save a checkpoint, resume
# from it and test in all processes, with one image per GPU, on a miniature of COCO, ADE20K or ImageNet-1K. Each training
# takes one epoch (for COCO's 16 images on 8 GPUs two iterations), or two iterations if the config counts iterations.
#   tools/dist_smoke.sh CONFIG GPUS [KEY=VALUE ...]      (KEY=VALUE as for --cfg-options)
# Environment: DATA=own uses the config's own data; SMOKE_DIR is the output folder (default: work_dirs/smoke).
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [KEY=VALUE ...]" >&2
    exit 2
fi
tools=$(cd "$(dirname "$0")" && pwd)
python=$("$tools/launch.sh" python)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}" PYTHON=$python
config=$(realpath "$1") gpus=$2
folder=$(realpath -m "${SMOKE_DIR:-work_dirs/smoke}/$(basename "$config" .py)")
rm -rf "$folder/run" "$folder/unfinished"
mkdir -p "$folder"
if [ "${DATA:-miniature}" != own ]; then
    if [ ! -d "$folder/data" ]; then
        "$python" -c 'import sys
from pathlib import Path
from mmgcvit.datasets import classes, miniature
folder = Path(sys.argv[1])
miniature.write_miniature_coco(folder / "coco")
miniature.write_miniature_ade20k(folder / "ADEChallengeData2016")
miniature.write_miniature_imagenet(folder / "imagenet", classes.list_imagenet_folders())' "$folder/unfinished"
        mv "$folder/unfinished" "$folder/data"
    fi
    ln -sfn . "$folder/data/ade"
    cd "$folder"
fi
amp=$("$python" -c 'import torch; print("--amp" if torch.cuda.is_available() else "")')
length=$("$python" -c 'import sys; from mmengine.config import Config
cfg = Config.fromfile(sys.argv[1]).train_cfg
print("iters" if "max_iters" in cfg else "epochs")' "$config")
options=(train_dataloader.batch_size=1 default_hooks.checkpoint.interval=1 "${@:3}")
if [ "$length" = iters ]; then
    first=(train_cfg.max_iters=2 train_cfg.val_interval=2) then=(train_cfg.max_iters=4 train_cfg.val_interval=2)
else
    first=(train_cfg.max_epochs=1) then=(train_cfg.max_epochs=2)
fi
train=("$tools/dist_train.sh" "$config" "$gpus" --work-dir "$folder/run" $amp)
"${train[@]}" --cfg-options "${options[@]}" "${first[@]}"
"${train[@]}" --resume --cfg-options "${options[@]}" "${then[@]}" | tee "$folder/resumed.txt"
grep -Eq 'resumed epoch: 1|iter: 2$' "$folder/resumed.txt"
"$tools/dist_test.sh" "$config" "$(cat "$folder/run/last_checkpoint")" "$gpus" --work-dir "$folder/test" \
    --cfg-options "${@:3}" test_dataloader.batch_size=1
echo "smoke test of $1 in $gpus processes: all steps OK"
