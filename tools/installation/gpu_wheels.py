"""Gather wheels of the locked versions for a machine with Python and torch but no network.

    python tools/installation/gpu_wheels.py build/gpu-wheels

On that machine, in this clone:

    python3 -m pip install --no-index --no-deps --target build/gpu-packages build/gpu-wheels/*.whl
    PYTHONPATH=build/gpu-packages python3 -m pytest -m gpu

For this Python, of Linux on x86-64. The OpenMMLab packages are built here, mmcv without operators.
NumPy, OpenCV, SciPy, scikit-image, scikit-learn and Matplotlib are left to that machine.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.markers import Marker

LOCK = Path(__file__).resolve().parents[2] / 'locks' / 'maintained.txt'
OPENMMLAB = (
    'onedl-mmcv',
    'onedl-mmengine',
    'onedl-mmdetection',
    'onedl-mmsegmentation',
    'onedl-mmpretrain',
)
OTHERS = """
addict yapf platformdirs tomli termcolor pyyaml rich markdown-it-py mdurl pygments pycocotools
shapely six terminaltables tqdm ftfy wcwidth regex prettytable einops mat4py modelindex model-index
ordered-set markdown click imaug imagecorruptions-imaug supervision defusedxml pydeprecate
timm safetensors packaging psutil pytest pluggy iniconfig exceptiongroup hypothesis sortedcontainers
"""


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    pip('wheel', '--wheel-dir', folder, OPENMMLAB)
    pip('download', '--dest', folder, OTHERS.split(), '--only-binary=:all:')
    size = sum(path.stat().st_size for path in folder.glob('*.whl'))
    sys.stdout.write(f'{folder}: {size / 1e6:.1f} MB\n')


def pip(command: str, option: str, folder: Path, names: Sequence[str], *more: str) -> None:
    """Have pip fetch or build packages as they are locked."""
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as file:
        file.write('\n'.join(list_locked(names)))
        file.flush()
        arguments = ['--no-deps', '--require-hashes', '--requirement', file.name]
        subprocess.run(
            [sys.executable, '-m', 'pip', '--quiet', command, *arguments, option, folder, *more],
            env=os.environ | {'MMCV_WITH_OPS': '0'},
            check=True,
        )


def list_locked(names: Sequence[str]) -> Iterator[str]:
    """Yield the requirements of some packages that this Python needs, each with its hashes."""
    for entry in re.split(r'(?m)^(?=\S)', LOCK.read_text()):
        requirement, _, hashes = entry.partition('\\')
        version, _, marker = requirement.partition(';')
        is_needed = not marker or Marker(marker.strip()).evaluate()
        if is_needed and version.split('==')[0] in names:
            yield f'{version.strip()} {hashes.strip()}'.rstrip()


if __name__ == '__main__':
    main()
