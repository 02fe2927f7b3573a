"""Data for the command lines."""

import shutil
import subprocess
import sys

import pytest

from ..conftest import ROOT
from .commands import NUM_VAL


@pytest.fixture(scope='session')
def digits(tmp_path_factory):
    """A few digit scenes, and the same images once more in folders by class for classification."""
    out = tmp_path_factory.mktemp('data') / 'digits'
    make = [sys.executable, str(ROOT / 'tools' / 'make_digits.py'), str(out)]
    subprocess.run([*make, '--train', '8', '--val', str(NUM_VAL), '--size', '128'], check=True)
    for number, image in enumerate(sorted((out / 'coco' / 'train2017').iterdir())):
        folder = out / 'classes' / str(number % 4)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, folder)
    return out
