"""``mmgcvit check-data`` prints a table and a sentence for each problem, and sets an exit code."""

import json
from functools import partial

import pytest

from ..datasets.checks.made import cut, write_coco
from ..datasets.formats.made import write_example

CONFIG = """
default_scope = 'mmdet'
dataset = {dataset!r}
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dict(dataset, pipeline=[]))
"""


@pytest.fixture
def check(call, tmp_path, monkeypatch):
    """Return a function that runs the command on a small COCO dataset; it returns exit code and output."""
    (tmp_path / 'config.py').write_text(CONFIG.format(dataset=write_coco(tmp_path)))
    monkeypatch.setenv('COLUMNS', '80')
    return partial(call, 'check-data', 'config.py')


def test_problems_are_shown_with_their_effect_and_an_exit_code(check, tmp_path):
    code, output = check('--contact-sheet', tmp_path / 'sheet.jpg')
    assert (code, 'no problem in its data stops' in output) == (0, True)
    assert (tmp_path / 'sheet.jpg').is_file()
    assert '3 images; objects: 2 cat, 1 dog' in output
    file = tmp_path / 'train.json'
    file.write_text(file.read_text().replace('"area": 120', '"area": 0', 1))
    code, output = check()
    assert (code, 'left out' in output) == (0, True)
    cut(tmp_path / 'images' / 'b.jpg')
    code, output = check()
    assert code == 1
    assert output.index('stops the run') < output.index('left out')
    assert f'{tmp_path}/images/b.jpg' in output, 'paths are not wrapped in a narrow terminal'
    assert check('--images', 0)[0] == 0
    code, output = check('--contact-sheet', tmp_path / 'sheet.jpg', '--augmented', 'strong')
    assert code == 1
    assert '--augmented strong is for a FOLDER. A config has its own augmentation' in output


def test_a_folder_is_checked_as_train_reads_it_and_findings_name_images(call, tmp_path):
    write_example(tmp_path / 'photos', 'coco')
    file = tmp_path / 'photos' / 'annotations' / 'train.json'
    content = json.loads(file.read_text())
    annotation = content['annotations'][0]
    annotation['bbox'][2] = 0.2
    image = next(image for image in content['images'] if image['id'] == annotation['image_id'])
    content['categories'].append({'id': 99, 'name': 'unused'})
    file.write_text(json.dumps(content))
    code, output = call('check-data', tmp_path / 'photos')
    assert code == 0
    assert 'classes without annotations: unused' in output
    assert 'train.json: boxes under a pixel' in output
    assert f'(annotation {annotation["id"]} of {image["file_name"]}, bbox ' in output


def test_annotation_files_made_for_a_check_are_named_without_their_temporary_folder(call, tmp_path):
    write_example(tmp_path / 'photos', 'yolo')
    sheet = tmp_path / 'sheet.jpg'
    code, output = call('check-data', tmp_path / 'photos', '--contact-sheet', sheet, '--augmented', 'strong')
    assert (code, sheet.is_file()) == (0, True)
    assert '\ntrain.json: 5 images; objects: 5 disc, 5 square\nval.json: 1 images; ' in output
