"""On a disk that ignores case and Unicode forms, names that it takes for one are told apart, and
data whose annotations spell names in another way are read.

Modules: `mmgcvit/own/pictures/outputs.py`, `mmgcvit/own/data/folders.py`.
"""

import json
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmgcvit.own.pictures.outputs import Outputs

from .ignore_case import fold
from .tools.commands import call

NAME = 'Caf\u00e9'
OTHER_FORM = unicodedata.normalize('NFD', NAME)


def write_picture(path, level=90):
    random = np.random.default_rng(level)
    pixels = level + random.integers(0, 40, (48, 48, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1])


def run(folder, *command):
    return call('', '-m', 'tests.ignore_case', folder, *command, folder=folder)


def test_outputs_of_inputs_that_differ_in_case_or_form_have_names_of_their_own(tmp_path):
    inputs = ['x/A.jpg', 'x/a.png', f'x/{NAME}.jpg', f'x/{OTHER_FORM}.png', f'x/{NAME.upper()}.tif']
    outputs = Outputs(tmp_path, inputs)
    names = {fold(str(outputs.names[source])) for source in inputs}
    assert len(names) == len(inputs)


@pytest.mark.long
def test_annotations_may_spell_names_in_another_way(tmp_path):
    """They are trained on and resumed, and no picture counts as left out."""
    data = tmp_path / 'Photos'
    images = []
    annotations = []
    for number in range(10):
        write_picture(data / 'images' / f'{OTHER_FORM}_{chr(97 + number)}.PNG', 60 + 10 * number)
        name = f'{NAME.lower()}_{chr(97 + number)}.png'
        images.append({'id': number, 'file_name': name, 'width': 48, 'height': 48})
        box = {'id': number, 'image_id': number, 'category_id': 1, 'bbox': [8, 8, 20, 20]}
        annotations.append({**box, 'area': 400, 'iscrowd': 0})
    content = {'images': images, 'annotations': annotations}
    content['categories'] = [{'id': 1, 'name': 'coin'}]
    (data / 'annotations.json').write_text(json.dumps(content))
    options = ['--data', 'photos', '--size', 'mini', '--workers', '0', '--work-dir', 'runs/A']
    output = run(tmp_path, 'train', *options, '--epochs', '1')
    assert 'left out' not in output
    run(tmp_path, 'train', *options, '--epochs', '2', '--resume')
    assert (tmp_path / 'runs' / 'A' / 'last_checkpoint').read_text().endswith('epoch_2.pth')


@pytest.mark.long
def test_predictions_of_all_inputs_are_kept(tmp_path):
    pictures = [Path('in', name) for name in ('A.png', 'a.jpg', f'{NAME}.png', f'{OTHER_FORM}.jpg')]
    config = 'configs/demo/mask_rcnn_gcvit_objects.py'
    for level, picture in enumerate(pictures):
        write_picture(tmp_path / picture, 60 + 30 * level)
    run(tmp_path, 'predict', config, *pictures, '--out-dir', 'Out')
    written = [path for path in (tmp_path / 'Out' / 'vis').iterdir() if path.is_file()]
    assert len({fold(path.stem) for path in written}) == len(pictures)
