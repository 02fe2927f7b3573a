"""``mmgcvit check-data`` prints a table and a sentence for each problem, and sets an exit code."""

import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from mmengine.config import Config

from mmgcvit.commands.check_data import write_sheet
from mmgcvit.host.config import LOADERS

from ..datasets.checks.made import coco_content, cut, write_coco
from ..own.data.formats.numbered_maps import GAPS, draw_numbers, write_maps

CONFIG = """
default_scope = 'mmdet'
dataset = {dataset!r}
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dict(dataset, pipeline=[]))
"""


def test_problems_are_shown_with_their_effect_and_an_exit_code(call, tmp_path, monkeypatch):
    content = coco_content()
    content['categories'][0]['name'] = 'c\x1b[31mat'
    content['annotations'] = [
        {**obj, 'id': i} for i, obj in enumerate(content['annotations'] * 4, start=1)
    ]
    dataset = write_coco(tmp_path, content) | {'metainfo': {'classes': ('c\x1b[31mat', 'dog')}}
    Path('config.py').write_text(CONFIG.format(dataset=dataset))
    monkeypatch.setenv('COLUMNS', '80')
    check = partial(call, 'check-data', 'config.py')
    code, output = check('--contact-sheet', 'sheet.jpg')
    assert (code, 'no problem in its data stops' in output) == (0, True)
    assert Path('sheet.jpg').is_file()
    assert r'3 images; objects: 8 c\x1b[31mat, 4 dog' in output
    Path('model.py').write_text('model = dict()')
    assert (
        'model.py has no dataset to check in train_dataloader' in call('check-data', 'model.py')[1]
    )
    file = Path('train.json')
    file.write_text(file.read_text().replace('"area": 120', '"area": 0', 1))
    code, output = check()
    assert (code, 'does not stop the run: ' in output) == (0, True)
    code, output = call('check-data', '.')
    assert (code, r"the class 'c\x1b[31mat', with control characters" in output) == (1, True)
    cut(Path('images/b.jpg'))
    code, output = check()
    assert code == 1
    assert output.index('stops the run') < output.index('does not stop')
    assert f'{tmp_path}/images/b.jpg' in output, 'paths are not wrapped in a narrow terminal'
    assert check('--images', 0)[0] == 0
    output = check('--contact-sheet', 'sheet.jpg', '--augmented', 'strong')[1]
    assert '--augmented strong is for a FOLDER' in output


def test_a_folder_is_checked_and_temporary_files_are_not_named(call, tmp_path, monkeypatch):
    """The files that are made for the check are not named, also if they are in this folder."""
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    write_coco(tmp_path / 'photos')
    check = partial(call, 'check-data', 'photos')
    code, output = check('--contact-sheet', 'sheet.jpg', '--augmented', 'strong')
    assert (code, Path('sheet.jpg').is_file()) == (0, True)
    assert re.search(r'\ntrain: 2 images: \d cat, \d dog\nval: 1 image: \d cat, \d dog\n', output)
    code, output = check('--contact-sheet', 'photos/images/a.jpg')
    assert (code, 'a.jpg is in photos, where it would be one of' in output) == (1, True)
    code, output = call('check-data', 'photos/train.json')
    assert (code, 'train.json is a file. Pass the folder' in output) == (1, True)
    for option in (('--images', 3), ('--cfg-options', 'max_epochs=3')):
        code, output = check(*option)
        assert (code, 'are for a CONFIG. Remove them' in output) == (1, True)


def test_a_program_that_comes_with_data_is_not_run(call, tmp_path):
    write_coco(tmp_path / 'photos')
    Path('photos/photos.py').write_text("open('ran', 'w')")
    Path('config.yaml').write_text('_base_: photos/photos.py\ntrain_dataloader: {}')
    for name, expected, words in (
        ('photos', 0, 'no problem in its data stops'),
        ('config.yaml', 1, 'config.yaml is a file. Pass the folder'),
    ):
        code, output = call('check-data', name)
        assert (code, words in output, Path('ran').exists()) == (expected, True, False)


def test_maps_are_what_the_task_says_or_it_is_asked(call, tmp_path):
    write_maps(tmp_path / 'data', [draw_numbers(numbers) for numbers in GAPS * 2])
    for arguments, expected, words in (
        ('check-data data', 1, 'Add --task semantic for classes'),
        ('train --data data', 1, 'Add --task semantic for classes'),
        ('check-data data --task segment', 0, '10 objects, 1 classes (object)'),
        ('check-data configs/custom_seg.py --task semantic', 1, 'for a FOLDER'),
    ):
        code, output = call(*arguments.split())
        assert (code, words in output) == (expected, True)


@pytest.mark.parametrize(('augmented', 'loaders'), [(None, LOADERS), ('light', LOADERS[:1])])
def test_only_training_images_are_drawn_as_they_are_augmented(augmented, loaders, monkeypatch):
    draw = mock.Mock()
    monkeypatch.setattr('mmgcvit.own.judging.grids.draw_contact_sheet', draw)
    monkeypatch.setattr('mmgcvit.commands.check_data.write_image', mock.Mock())
    cfg = Config()
    write_sheet(SimpleNamespace(augmented=augmented, contact_sheet=Path('a.jpg')), cfg)
    draw.assert_called_once_with(cfg, loaders, bool(augmented))
