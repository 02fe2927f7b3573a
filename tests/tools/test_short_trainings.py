"""Demos and what ``train --data`` writes for each task, the filled templates, train two iterations
and validate with a loss.

Modules: `configs`, `mmgcvit/own/training/config.py`.
"""

import json
import math
import shutil

import numpy as np
import pytest

from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.training.config import make_config
from tools import smoke_config

from ..own.data.formats.made import write, write_example
from .commands import DEMO, call

OWN_DATA = {'own_masks': 'coco', 'own_maps': 'maps', 'own_classes': 'classes'}
# test_training.py trains the models of the other demos.
QUICK = ('lsa', 'mask2former', 'rtmdet')
CASES = [*OWN_DATA]
for path in sorted(DEMO.glob('*.py')):
    marks = [] if path.stem.startswith(QUICK) else [pytest.mark.long]
    CASES.append(pytest.param(path.stem, marks=marks))


@pytest.fixture(scope='module')
def folder(digits, tmp_path_factory):
    """Return a folder with the data of the demos: the digits, and the same images with the zeros as
    objects of one class.
    """
    folder = tmp_path_factory.mktemp('folder')
    (folder / 'data').mkdir()
    (folder / 'data' / 'digits').symlink_to(digits)
    objects = folder / 'data' / 'objects'
    for split in ('train', 'val'):
        shutil.copytree(digits / 'coco' / f'{split}2017', objects / split)
        text = (digits / 'coco' / 'annotations' / f'instances_{split}2017.json').read_text()
        text = text.replace('"name": "0"', '"name": "object"')
        write(objects / 'annotations' / f'instances_{split}.json', text)
        for image in (objects / split).iterdir():
            write(objects / 'maps' / split / f'{image.stem}.png', np.tri(128, dtype=np.uint8))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_demo_or_template_trains_two_iterations_and_validates(name, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)  # which has the data of the configs
    path = DEMO / f'{name}.py'
    if name in OWN_DATA:
        write_example(tmp_path / 'photos', OWN_DATA[name])
        task = 'semantic' if OWN_DATA[name] == 'maps' else None
        path, _ = make_config(read_folder(tmp_path / 'photos', task), work_dir=tmp_path / 'made')
    smoke_config.prepare(path, tmp_path, 1, 'own')
    command = ['-m', 'mmgcvit', 'train', tmp_path / 'config.py', '--work-dir', tmp_path / 'run']
    val_loss = 'default_hooks.val_loss.type=mmgcvit.ValLossHook'
    call('', *command, '--cfg-options', val_loss, folder=folder)
    assert list((tmp_path / 'run').glob('*_[12].pth'))
    (log,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    assert 0 < json.loads(log.read_text().splitlines()[-1])['val_loss'] < math.inf
