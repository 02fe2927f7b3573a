"""Gather in a folder of wheels what ``run.py`` needs beyond torch, of the locked versions: python -m tests.gpu.wheels.

    python -m tests.gpu.wheels build/gpu-wheels                         for Python 3.10 to 3.13
    python -m tests.gpu.wheels build/gpu-wheels --python 3.12 --large   for one: what vision images have, too

Wheels of Linux on x86-64. The hosts are built here, mmcv without operators.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.markers import Marker

from ..programs import ROOT

LOCK = ROOT / 'locks' / 'maintained.txt'
PYTHONS = ('3.10', '3.11', '3.12', '3.13')
HOSTS = ('onedl-mmcv', 'onedl-mmengine', 'onedl-mmdetection', 'onedl-mmsegmentation', 'onedl-mmpretrain')
# What they import when they are imported, timm, and what the tests need.
OTHERS = """
addict yapf platformdirs tomli termcolor pyyaml rich markdown-it-py mdurl pygments pycocotools shapely terminaltables
tqdm imaug imageio lazy-loader tifffile ftfy wcwidth regex prettytable einops mat4py modelindex model-index ordered-set
markdown click timm safetensors packaging psutil pytest pluggy iniconfig exceptiongroup hypothesis sortedcontainers
"""
LARGE = """
pillow opencv-python-headless scipy scikit-image scikit-learn joblib threadpoolctl narwhals
matplotlib kiwisolver contourpy cycler fonttools pyparsing python-dateutil six cloudpickle
"""
PLATFORMS = [f'manylinux_2_{minor}_x86_64' for minor in (28, 27, 24, 17, 12, 5)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--python', nargs='+', choices=PYTHONS, default=PYTHONS, help='(default: all of these)')
    parser.add_argument('--large', action='store_true', help=f'also {LARGE}')
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for old in args.folder.glob('*.whl'):
        old.unlink()
    pip('wheel', args.folder, HOSTS, f'{sys.version_info.major}.{sys.version_info.minor}')
    for python in args.python:
        platforms = [word for name in PLATFORMS for word in ('--platform', name)]
        others = (OTHERS + LARGE if args.large else OTHERS).split()
        pip('download', args.folder, others, python, '--only-binary=:all:', '--python-version', python, *platforms)
    sizes = {path: path.stat().st_size for path in args.folder.glob('*.whl')}
    left_out = '' if args.large else f'; not in it, and needed: {", ".join(LARGE.split())}'
    sys.stdout.write(f'{args.folder}: {len(sizes)} wheels, {sum(sizes.values()) / 1e6:.1f} MB{left_out}\n')


def pip(command, folder, names, python, *options):
    """Have pip fetch or build some of the locked packages, as they are locked for a Python."""
    environment = os.environ | {'MMCV_WITH_OPS': '0'}
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as file:
        file.write('\n'.join(locked(names, python)))
        file.flush()
        chosen = ['--no-deps', '--require-hashes', '--requirement', file.name, '--disable-pip-version-check', '--quiet']
        where = '--wheel-dir' if command == 'wheel' else '--dest'
        called = [sys.executable, '-m', 'pip', command, *chosen, where, folder, *options]
        subprocess.run(list(map(str, called)), env=environment, check=True)


def locked(names, python):
    """The requirements of some packages, each with its hashes, as far as a Python needs them."""
    target = {'python_version': python, 'python_full_version': f'{python}.0', 'sys_platform': 'linux'}
    for entry in re.split(r'(?m)^(?=\S)', LOCK.read_text()):
        requirement, _, hashes = entry.partition('\\')
        version, _, marker = requirement.partition(';')
        if version.split('==')[0] in names and (not marker or Marker(marker.strip()).evaluate(target)):
            yield f'{version.strip()} {hashes.strip()}'.rstrip()


if __name__ == '__main__':
    main()
