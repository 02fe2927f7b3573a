"""``mmgcvit check-data`` and the look that training takes: a table, one sentence for each fault, and an exit code."""

import shutil

import pytest
from mmengine.config import Config

from mmgcvit.commands.check_data import check_data, is_first_of_node
from mmgcvit.commands.main import run_command
from mmgcvit.errors import UserError

from ..datasets.checks.made import config, cut, write_coco, write_folders, write_turned
from ..tools.commands import CONFIGS, TOOLS, call, train

CONFIG = """
default_scope = 'mmdet'
dataset = {dataset!r}
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dict(dataset, pipeline=[]))
"""


def refusal_of(cfg, loader='train_dataloader'):
    with pytest.raises(UserError) as refused:
        check_data(cfg, [loader])
    return str(refused.value)


def test_what_is_missing_is_named_with_how_to_get_it(tmp_path):
    """However a config names its data."""
    coco, own = tmp_path / 'coco', {'type': 'X', 'data_root': '/nowhere'}
    images = {'data_root': str(coco), 'ann_file': 'a.json', 'data_prefix': {'img': 'train2017/'}}
    cifar = {'type': 'CIFAR100', 'data_root': '/nowhere/cifar100', 'download': False}
    for dataset, missing in (
        (images, [f'{coco}/a.json', f'{coco}/train2017', 'cocodataset.org', 'ln -s']),
        ({'dataset': images}, [f'{coco}/a.json']),
        ({'datasets': [images, images]}, [f'{coco}/a.json']),
        ({**images, 'data_root': f'{tmp_path}/digits/coco'}, [f"'mmgcvit digits {tmp_path}/digits' makes it"]),
        ({'type': 'ImageNet', 'data_root': '/nowhere/imagenet', 'split': 'val'}, ['/nowhere/imagenet/val', '1000']),
        (own, ['/nowhere\n']),
        ({**own, 'ann_file': ['a', 'b']}, ['/nowhere/a\n', '/nowhere/b\n']),
        (cifar, ['/nowhere/cifar100/cifar-100-python', 'cs.toronto.edu/~kriz/cifar']),
    ):
        said = refusal_of(Config({'loader': {'dataset': dataset}}), 'loader')
        assert all(words in said for words in missing), said


def test_whole_data_pass_without_a_word_and_what_is_not_here_is_left_alone(tmp_path, capsys):
    check_data(config(write_coco(tmp_path)), ['train_dataloader', 'a_loader_that_the_config_lacks'])
    assert capsys.readouterr().err == ''
    (tmp_path / 'cifar-10-batches-py').mkdir()
    for settings in (
        {'type': 'CIFAR10', 'data_root': str(tmp_path), 'download': True},
        {'type': 'CIFAR10', 'data_root': str(tmp_path), 'download': False},
        {'type': 'CocoDataset', 'data_root': 's3://bucket/coco/', 'ann_file': 'a.json'},
    ):
        check_data(config(settings), ['train_dataloader'])
        assert 'not looked into' in capsys.readouterr().err


def test_what_would_stop_the_run_is_refused_by_name_and_what_is_repaired_is_said(tmp_path, capsys):
    settings = write_coco(tmp_path)
    annotations, text = tmp_path / 'train.json', (tmp_path / 'train.json').read_text()
    filtered = {**settings, 'pipeline': [{'type': 'LoadImageFromFile'}], 'filter_cfg': {'min_size': 32}}
    annotations.write_text(text.replace('[2, 3, 10', '[-9, 3, 20'))
    check_data(config(filtered), ['train_dataloader'])
    assert 'partly outside of the image (3: annotation 10' in capsys.readouterr().err
    annotations.write_text(text)
    cut(tmp_path / 'images' / 'b.jpg')
    first, *_, last = refusal_of(config(settings)).splitlines()
    assert 'images/b.jpg' in first
    assert 'mmgcvit check-data' in last
    # Without images to open annotations are looked at still.
    cfg = config(settings)
    cfg.data_checks = {'images': 0}
    check_data(cfg, ['train_dataloader'])
    (tmp_path / 'images' / 'b.jpg').unlink()
    assert 'images/b.jpg' in refusal_of(cfg)


def test_settings_that_are_none_are_refused(tmp_path):
    cfg = config(write_folders(tmp_path))
    for settings in ({'imgs': 3}, {'images': -1}, {'damaged_images': 1.5}, {'images': True}):
        cfg.data_checks = settings
        assert 'whole numbers of at least 0 for images and damaged_images' in refusal_of(cfg)


def test_on_each_node_one_process_looks(monkeypatch):
    for name, rank in (('LOCAL_RANK', '3'), ('SLURM_LOCALID', '0')):
        monkeypatch.setenv(name, rank)
    first = {launcher: is_first_of_node(Config({'launcher': launcher})) for launcher in ('none', 'pytorch', 'slurm')}
    assert first == {'none': True, 'pytorch': False, 'slurm': True}


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Call the command on a small data set of COCO's layout; gives its exit code or sentence, and what it printed."""
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(dataset=write_coco(tmp_path)))
    monkeypatch.setenv('COLUMNS', '400')

    def check(*options):
        code = None
        try:
            run_command('check-data', [path, *options])
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().out

    return check


def test_problems_are_shown_with_what_becomes_of_them_and_a_code(check, tmp_path):
    code, output = check('--contact-sheet', tmp_path / 'sheet.jpg')
    assert (code, 'no problem was found' in output) == (None, True)
    assert (tmp_path / 'sheet.jpg').is_file()
    write_turned(tmp_path / 'images' / 'c.jpg', orientation=3)
    code, output = check()
    assert (code, 'orientation 3' in output) == (None, True)
    cut(tmp_path / 'images' / 'b.jpg')
    code, output = check()
    assert code == 1
    assert output.index('stops the run') < output.index('repaired')
    assert 'images/b.jpg' in output
    assert check('--images', 0)[0] is None


def test_options_that_mean_nothing_are_refused(check):
    assert check('--images', -1)[0] == 'check-data: --images -1: expected at least 0'
    assert '.jpg, .jpeg, .png file in a folder' in check('--contact-sheet', 'sheet.pdf')[0]


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
