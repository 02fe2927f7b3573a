"""Gather wheels of the locked versions for a machine with Python and torch but no network.

    python tools/installation/gpu_wheels.py build/gpu-wheels
    python3 -m pip install --no-index --no-deps --target build/gpu-packages build/gpu-wheels/*.whl    # on that machine
    PYTHONPATH=build/gpu-packages python3 -m pytest -m gpu                                           # in this clone

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
addict yapf platformdirs tomli termcolor pyyaml rich markdown-it-py mdurl pygments pycocotools shapely six
terminaltables tqdm ftfy wcwidth regex prettytable einops mat4py modelindex model-index ordered-set markdown click
imaug imagecorruptions-imaug supervision defusedxml pydeprecate
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
        file.write('\n'.join(locked(names)))
        file.flush()
        arguments = [
            command,
            '--no-deps',
            '--require-hashes',
            '--requirement',
            file.name,
            option,
            str(folder),
            *more,
        ]
        environment = os.environ | {'MMCV_WITH_OPS': '0'}
        subprocess.run(
            [sys.executable, '-m', 'pip', '--quiet', *arguments], env=environment, check=True
        )


def locked(names: Sequence[str]) -> Iterator[str]:
    """The requirements of some packages, each with its hashes, as far as this Python needs them."""
    for entry in re.split(r'(?m)^(?=\S)', LOCK.read_text()):
        requirement, _, hashes = entry.partition('\\')
        version, _, marker = requirement.partition(';')
        if version.split('==')[0] in names and (not marker or Marker(marker.strip()).evaluate()):
            yield f'{version.strip()} {hashes.strip()}'.rstrip()


if __name__ == '__main__':
    main()
