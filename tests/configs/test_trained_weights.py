"""The trained weights that come with the demo's configs are what their table says.

Modules: `configs/demo`.
"""

import json
import re
from pathlib import Path

import pytest

from mmgcvit import load
from mmgcvit.host.files import compute_sha256

from ..photos import make_photo, write_objects
from ..tools.commands import DEMO, TOOLS, call
from .models import read

WEIGHTS = DEMO / 'weights'
ROW = re.compile(r'^\| `(?P<name>\w+)` \|(?P<cells>.*)\| `(?P<digest>[0-9a-f]{64})` \|$', re.M)
ROWS = {row['name']: row for row in ROW.finditer((WEIGHTS / 'README.md').read_text())}
# The names of the table's scores in the log.
SCORES = {'top-1': 'accuracy/top1', 'box mAP': 'coco/bbox_mAP', 'mask mAP': 'coco/segm_mAP'}


def test_shipped_weights_match_the_table_and_load_with_their_config():
    paths = {path.stem: path for path in WEIGHTS.glob('*.safetensors')}
    assert paths.keys() == ROWS.keys()
    assert sum(path.stat().st_size for path in paths.values()) < 25_000_000
    for name, path in paths.items():
        digest = ROWS[name]['digest']
        assert compute_sha256(path) == digest
        assert Path(f'{path}.sha256').read_text().startswith(f'{digest} ')
        model = load(DEMO / f'{name}.py', device='cpu')
        assert model.checkpoint == str(path)
        assert model.classes == [*read(f'demo/{name}').metainfo.classes]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with the data that the table's scores are of."""
    folder = tmp_path_factory.mktemp('folder')
    call('', TOOLS / 'make_digits.py', folder / 'data' / 'digits', '--train', 1)
    write_objects(folder / 'data' / 'objects', map(make_photo, range(60)))
    return folder


@pytest.mark.long
@pytest.mark.parametrize('name', ROWS)
def test_shipped_weights_reach_the_scores_of_the_table(name, folder):
    options = ['--work-dir', name, '--device', 'cpu']
    call('', TOOLS / 'test.py', DEMO / f'{name}.py', *options, folder=folder)
    cell = ROWS[name]['cells'].split('|')[1].strip()
    published = re.findall(r'([\w -]+?) ([\d.]+)(?:,| %|$)', cell)
    assert published
    (log,) = (folder / name).glob('*/*.json')
    for score, value in published:
        reached = json.loads(log.read_text())[SCORES.get(score.strip(), 'mIoU')]
        # JPEG, and rounding of other processors: an object at a threshold, a pixel at a rim.
        assert reached == pytest.approx(float(value), rel=0.02)
