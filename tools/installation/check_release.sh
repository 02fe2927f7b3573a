#!/usr/bin/env bash
# Build the source distribution and the wheel of the last commit, check them, install the wheel into
# a new environment outside of the clone, and predict the photo of 24 coins with it:
#   tools/installation/check_release.sh [--try] [FOLDER]      (default: build/release; PYTHON=python3)
# It takes 5 minutes and 8 GB. FOLDER/dist then has the files of the release. Before, it stops if a
# page or the metadata of the commit say what is not true of a release, or its tag is of another
# version; with --try it only lists them.
set -euo pipefail
cd "$(dirname "$0")/../.."
try=0
if [ "${1:-}" = --try ]; then
	try=1
	shift
fi
folder=$(realpath -m "${1:-build/release}") python=${PYTHON:-python3}
tag=$(git tag --points-at HEAD 'v*' | head -n 1)
rm -rf "$folder"
mkdir -p "$folder/source" "$folder/try"
git archive HEAD | tar -x -C "$folder/source"
"$python" "$folder/source/tools/installation/release_texts.py" "$tag" || [ "$try" = 1 ]
"$python" -m venv "$folder/tools"
"$folder/tools/bin/pip" install --quiet build twine
"$folder/tools/bin/python" -m build --outdir "$folder/dist" "$folder/source" > "$folder/build.txt"
"$folder/tools/bin/twine" check --strict "$folder"/dist/*
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "$(ls "$folder"/dist/*.whl)[openmmlab,checkpoints,predict]"
"$folder/venv/bin/pip" check
cp docs/images/coins.jpg "$folder/try"
cd "$folder/try"
../venv/bin/mmgcvit predict configs/demo/mask_rcnn_gcvit_objects.py coins.jpg
../venv/bin/python -c "
import json
from pathlib import Path
found = len(json.loads(Path('predictions/predictions.json').read_text()))
assert found == 24, f'{found} objects instead of 24 coins'"
echo "the release is in $folder/dist"
