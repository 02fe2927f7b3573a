"""Each cell of the table of heads in docs/commands.md is true: what works is run on a small network,
and what does not is refused with the sentence in the cell.

Modules: `mmgcvit/commands`, `mmgcvit/export`, `docs/commands.md`.
"""

import re
from functools import cache

import cv2
import pytest
from mmengine.config import Config

from tools import smoke_config

from .. import fork_server
from ..configs.models import read
from ..docs.pages import find_tables
from ..predict.conftest import picture_of
from ..tools.commands import CONFIGS, DEMO, environment_for

(TABLE,) = [table for table in find_tables('docs/commands.md') if table[0][0] == 'head']
COLUMNS = [cell.strip('`') for cell in TABLE[0][2:]]
# The small network of each row.
SMALL = {
    'Mask R-CNN': CONFIGS / 'detect.py',
    'Faster R-CNN': CONFIGS / 'boxes.py',
    'Cascade Mask R-CNN': CONFIGS / 'cascade_lsa.py',
    'DINO': CONFIGS / 'dino.py',
    'RTMDet-Ins': DEMO / 'rtmdet_ins_gcvit_digits.py',
    'Mask2Former, instances': DEMO / 'mask2former_gcvit_digits.py',
    'another head of mmdet, such as RetinaNet': CONFIGS / 'retinanet.py',
    'Mask2Former, semantic': CONFIGS / 'segment_mask2former.py',
    'UPerNet': CONFIGS / 'segment.py',
    'FCN': CONFIGS / 'fcn.py',
    'classifiers with softmax': CONFIGS / 'classify.py',
}
# The command line of each column, and a file that it writes. run is the work dir of the
# training.
COMMANDS = {
    'train': ('train config.py --work-dir run', 'run/last_checkpoint'),
    'test': ('test run --show-dir pictures --out found.pkl', 'found.pkl'),
    'predict': ('predict run photo.png', 'predictions/vis/photo.png'),
    'predict --tiles': (
        'predict run photo.png --out-dir tiled --tiles 64',
        'tiled/predictions.json',
    ),
    'mistakes': ('mistakes run --worst 1', 'mistakes/confusion.png'),
    'publish': ('publish run', 'run/model.safetensors'),
    # tests/export compares the outputs of the files.
    'export': ('export run model.onnx --no-check', 'model.onnx'),
}
# The parts that make a head, by OpenMMLab's names.
HEADS = ('head', 'decode_head', 'bbox_head', 'rpn_head', 'roi_head', 'panoptic_head')
# The first head of each task. The others are run by make test-all.
FIRST = ('Mask R-CNN', 'UPerNet', 'classifiers with softmax')
CELLS = []
for head, _, *cells in TABLE[1:]:
    for column, cell in zip(COLUMNS, cells, strict=True):
        marks = [] if head in FIRST else [pytest.mark.long]
        CELLS.append(pytest.param(head, column, cell, marks=marks, id=f'{head}-{column}'))


@pytest.fixture(scope='session')
def run(digits, tmp_path_factory):
    """Return a function that runs the command of a column in a head's folder, and returns the
    folder and the ended process. All commands of a head use one training.
    """

    @cache
    def make_folder(head):
        folder = tmp_path_factory.mktemp('head')
        (folder / 'data').mkdir()
        (folder / 'data' / 'digits').symlink_to(digits)
        cv2.imwrite(str(folder / 'photo.png'), picture_of(90, 120))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv('DIGITS', str(digits))
            patch.chdir(folder)  # the configs name data/digits
            smoke_config.prepare(SMALL[head], folder, 1, 'own')
        return folder

    @cache
    def run(head, column):
        folder = make_folder(head)
        if column != 'train':
            assert run(head, 'train')[1].returncode == 0, 'its training failed'
        words = ['-m', 'mmgcvit', *COMMANDS[column][0].split()]
        return folder, fork_server.run(*words, environment=environment_for(digits), folder=folder)

    return run


@pytest.mark.slow
@pytest.mark.parametrize(('head', 'column', 'cell'), CELLS)
def test_a_head_does_what_the_table_says(head, column, cell, run):
    folder, ended = run(head, column)
    output = ended.stdout + ended.stderr
    if cell == 'yes':
        assert ended.returncode == 0, output[-3000:]
        assert (folder / COMMANDS[column][1]).stat().st_size > 0
    else:
        assert ended.returncode == 1
        assert cell.removeprefix('no: ') in output


@pytest.mark.parametrize('row', TABLE[1:], ids=lambda row: row[0])
def test_the_small_network_of_a_head_is_of_the_types_of_its_config(row):
    """A row that names no config is one of which only the test has one."""
    config = re.search(r'configs/([\w/]+)\.py', row[1])
    if config:
        expected = list_types(read(config[1]).model)
        assert list_types(Config.fromfile(SMALL[row[0]]).model) == expected


def list_types(model):
    """Return the types of a model and its heads, without the package that registers them."""
    parts = [model, *(model.get(name) or {} for name in HEADS)]
    return [part.get('type', '').removeprefix('mmgcvit.') for part in parts]
