#!/usr/bin/env bash
# Regenerate the lock files after a change of pins*.txt or of setup.py's extras:
#   tools/installation/lock.sh
# It needs uv, which `make install` installs, on PATH. torch, torchvision and their dependencies are
# not locked: they come in several builds with different hashes.
set -euo pipefail
cd "$(dirname "$0")/../.."
extras=(benchmark checkpoints digits export plot predict visualize test lint)
with_torch=(torch torchvision triton cuda-bindings cuda-pathfinder cuda-toolkit)
options=(setup.py --generate-hashes --no-annotate --no-header --upgrade --quiet
    "${with_torch[@]/#/--no-emit-package=}")

lock() {
    local pins=$1 openmmlab=$2 target=$3
    shift 3
    uv pip compile "${options[@]}" "$@" --python-version 3.10 -c "$pins" --extra "$openmmlab" \
        "${extras[@]/#/--extra=}" -o "$target"
    # Drop the nvidia-* packages here: there are many, and uv's --no-emit-package takes one name at
    # a time.
    python3 - "$target" << 'END'
import re, sys
from pathlib import Path
path = Path(sys.argv[1])
entries = re.split(r'(?m)^(?=\S)', path.read_text())
path.write_text(''.join(entry for entry in entries if not entry.startswith('nvidia-')))
END
}

# The maintained packages are locked for all Pythons and platforms. The original packages run only
# on Linux with Python 3.10 and 3.11, for which one resolution is enough.
lock pins.txt openmmlab locks/maintained.txt --universal
lock pins-upstream.txt openmmlab-upstream locks/upstream.txt

# Lock the packages that `make docs` and `make test-beside` add to those above. Sphinx's extensions
# need Python 3.11.
add() {
    local extra=$1 python=$2
    shift 2
    uv pip compile "${options[@]}" --universal --python-version "$python" \
        -c locks/maintained.txt -o "locks/$extra.txt" "$@"
    python3 - "$extra" << 'END'
import re, sys
from pathlib import Path
extra = sys.argv[1]

def read_entries(name):
    return re.split(r'(?m)^(?=\S)', Path('locks', f'{name}.txt').read_text())

locked = {entry.split(' ')[0] for entry in read_entries('maintained')}
new = [entry for entry in read_entries(extra) if entry.split(' ')[0] not in locked]
added = [entry for entry in new if not entry.startswith('nvidia-')]
Path('locks', f'{extra}.txt').write_text(''.join(added))
END
}

add docs 3.11 --extra docs
add rotated 3.10 --extra rotated -c pins.txt
add transformers5 3.10 <(echo transformers) -c pins.txt
# mmpose requires chumpy, which only pip can build, but never imports it.
add keypoints 3.10 --extra keypoints -c pins.txt --override <(echo "chumpy; python_version < '3'")
