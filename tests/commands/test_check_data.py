"""``mmgcvit check-data`` and the look that training takes: a table, one sentence for each fault, and an exit code."""

import shutil

import pytest

from ..datasets.checks.made import cut, write_coco, write_turned
from ..tools.commands import CONFIGS, TOOLS, call, train

CONFIG = """
default_scope = 'mmdet'
dataset = {dataset!r}
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dict(dataset, pipeline=[]))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(dataset=write_coco(tmp_path)))
    return path


def check(config, *options, fails=False):
    return call('', '-m', 'mmgcvit', 'check-data', config, *options, fails=fails, COLUMNS='400')


@pytest.mark.slow
def test_whole_data_give_no_table(config):
    assert 'no problem was found' in check(config)


@pytest.mark.slow
def test_problems_are_shown_with_what_becomes_of_them_and_a_code(config, tmp_path):
    cut(tmp_path / 'images' / 'b.jpg')
    write_turned(tmp_path / 'images' / 'c.jpg', orientation=3)
    output = check(config, fails=True)
    assert output.index('stops the run') < output.index('repaired')
    assert 'images/b.jpg' in output
    assert 'Traceback' not in output


@pytest.mark.slow
def test_what_is_repaired_gives_no_code(config, tmp_path):
    write_turned(tmp_path / 'images' / 'c.jpg', orientation=3)
    assert 'orientation 3' in check(config)


@pytest.mark.slow
def test_fewer_images_are_opened_on_request(config, tmp_path):
    cut(tmp_path / 'images' / 'b.jpg')
    assert 'no problem was found' in check(config, '--images', 0)
    assert 'expected a whole number' in check(config, '--images', -1, fails=True)


@pytest.mark.slow
@pytest.mark.parametrize('task', ['detect', 'segment', 'classify'])
def test_training_looks_before_its_first_iteration(task, digits, tmp_path):
    """Where the images of each task are, one is cut."""
    folder = {'detect': 'coco', 'segment': 'ADEChallengeData2016', 'classify': 'classes'}[task]
    own = tmp_path / 'digits'
    shutil.copytree(digits / folder, own / folder)
    image = min((own / folder).rglob('*train*/**/*.jpg' if task != 'classify' else '*.jpg'))
    cut(image)
    command = TOOLS / 'train.py', CONFIGS / f'{task}.py', '--work-dir', tmp_path / 'run'
    output = call(own, *command, fails=True)
    assert f'{image} (' in output
    assert 'Traceback' not in output
    assert 'Iter(train)' not in output


@pytest.mark.slow
def test_an_image_that_breaks_while_training_is_named_and_too_many_end_it(digits, tmp_path):
    """Those that no sample has found: none is opened at the start."""
    own = tmp_path / 'digits'
    shutil.copytree(digits / 'coco', own / 'coco')
    first, second = sorted((own / 'coco' / 'train2017').iterdir())[:2]
    first.write_text('no image')
    output = train(own, 'detect', tmp_path / 'run', '--cfg-options', 'data_checks.images=0')
    assert output.count(f'{first} cannot be loaded') == 1
    second.write_text('no image')
    command = TOOLS / 'train.py', CONFIGS / 'detect.py', '--work-dir', tmp_path / 'other'
    options = '--cfg-options', 'data_checks.images=0', 'data_checks.damaged_images=1', 'train_dataloader.num_workers=2'
    output = call(own, *command, *options, fails=True)
    assert 'more than data_checks.damaged_images=1 allows' in output
    assert 'Traceback' not in output
