#!/usr/bin/env bash
# Write the lock files anew, after a change of pins*.txt or of setup.py's extras; needs uv (pip install uv).
#   tools/installation/lock.sh
# torch, torchvision and what comes with them are left out: they come in several builds, with hashes of their own.
set -euo pipefail
cd "$(dirname "$0")/../.."
extras=(benchmark checkpoints digits export hub plot visualize web test lint)
with_torch=(torch torchvision triton cuda-bindings cuda-pathfinder cuda-toolkit)
options=(setup.py --generate-hashes --no-annotate --no-header --upgrade --quiet --python-version 3.10)

lock() {
    local pins=$1 hosts=$2 target=$3
    shift 3
    uv pip compile "${options[@]}" "$@" -c "$pins" --extra "$hosts" "${extras[@]/#/--extra=}" \
        "${with_torch[@]/#/--no-emit-package=}" -o "$target"
    # uv names packages to leave out one by one, and these are many.
    python3 - "$target" << 'END'
import re, sys
from pathlib import Path
path = Path(sys.argv[1])
entries = re.split(r'(?m)^(?=\S)', path.read_text())
path.write_text(''.join(entry for entry in entries if not entry.startswith('nvidia-')))
END
}

# For every Python and platform; the original packages run on Linux, and on Pythons 3.10 and 3.11, for which one serves.
lock pins.txt hosts locks/maintained.txt --universal
lock pins-upstream.txt hosts-upstream locks/upstream.txt

# What `make docs` and the tests beside the environment add, and nothing that is locked above or comes with torch. Sphinx's
# own extensions begin with Python 3.11.
add() {
    local extra=$1 python=$2
    shift 2
    uv pip compile setup.py --generate-hashes --no-annotate --no-header --upgrade --quiet --universal \
        --python-version "$python" -c "${constraints:-locks/maintained.txt}" --extra "$extra" -o "locks/$extra.txt" \
        "${with_torch[@]/#/--no-emit-package=}" "$@"
    python3 - "$extra" << 'END'
import re, sys
from pathlib import Path
extra = sys.argv[1]
entries = {name: re.split(r'(?m)^(?=\S)', Path('locks', f'{name}.txt').read_text()) for name in ('maintained', extra)}
there = {entry.split(' ')[0] for entry in entries['maintained']}
added = [entry for entry in entries[extra] if entry.split(' ')[0] not in there and not entry.startswith('nvidia-')]
Path('locks', f'{extra}.txt').write_text(''.join(added))
END
}

add docs 3.11
# trackeval names a later NumPy than it needs.
add track 3.10 <(echo trackeval) --override <(echo numpy)
add rotated 3.10 -c pins.txt
# mmpose names chumpy, which only pip itself can build, and imports it nowhere.
add keypoints 3.10 -c pins.txt --override <(echo "chumpy; python_version < '3'")
