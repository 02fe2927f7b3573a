"""The tables of options in docs/commands.md are those of the parsers, and each option works: a few
small runs use them all.

Modules: `mmgcvit/commands`, `docs/commands.md`.
"""

import shutil
from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction
from functools import cache
from importlib import import_module

import pytest
import torch

from mmgcvit.commands.main import COMMANDS

from .. import fork_server
from ..docs.pages import find_table
from ..fork_server import reserve_port
from ..predict.conftest import write_video
from ..tools.commands import CONFIGS, environment_for
from ..toy import CONFIG as TOY

# Command lines that run in one folder, one after the other, and a file that each writes. RUN is the
# work dir of a small detector with random weights, TOY the config of a smaller model.
LINES = [
    (
        'train --data photos --work-dir run --device cpu --no-progress --task segment --size mini '
        '--epochs 1 --image-size 64 --tiles 64 --pretrained none --batch-size 2 --lr 0.001 '
        '--workers 0 --augment strong --no-flip --fine-tune head --patience 3 '
        '--cfg-options train_dataloader.num_batch_per_epoch=2 '
        'val_dataloader.num_batch_per_epoch=1',
        'run/last_checkpoint',
    ),
    (
        'train --data photos --start run --work-dir started --device cpu --epochs 1 --workers 0 '
        '--image-size 64 --cfg-options train_dataloader.num_batch_per_epoch=1 '
        'val_dataloader.num_batch_per_epoch=1',
        'started/last_checkpoint',
    ),
    ('test SEGMENTOR --work-dir tested --no-progress', 'tested'),
    ('test run --data photos --work-dir tested_again', 'tested_again'),
    ('mistakes run --data photos --out-dir wrong_again', 'wrong_again/confusion.png'),
    ('mistakes run --labels --split val --out-dir suspected', 'suspected/label_errors.csv'),
    (
        'train TOY --work-dir toy --launcher pytorch --local-rank 0 --auto-scale-lr --progress '
        '--cfg-options auto_scale_lr.base_batch_size=4',
        'toy/last_checkpoint',
    ),
    ('train TOY --work-dir toy --overwrite', 'toy/last_checkpoint'),
    ('train TOY --work-dir toy --resume --cfg-options train_cfg.max_epochs=4', 'toy/epoch_4.pth'),
    (
        'test SEGMENTOR --tta --show-dir pictures --out found.pkl --work-dir tested --device cpu '
        '--launcher none --local-rank 0 --progress --cfg-options test_dataloader.num_workers=0',
        'found.pkl',
    ),
    (
        'predict RUN photos/val2017 film.avi --out-dir found --device cpu --batch-size 2 --amp '
        '--score-thr 0 --score-thr 5=0.1 --classes 3 --frames 2 --hide-labels',
        'found/vis/film.mp4',
    ),
    (
        'predict RUN photos/val2017 --out-dir found --overwrite --tiles 64 --no-save-vis',
        'found/predictions.json',
    ),
    ('predict RUN photos/val2017 --out-dir drawn --no-save-pred', 'drawn/vis'),
    (
        'predict RUN photos/val2017 --out-dir measured --labels labelled --labels-format yolo '
        '--score-thr 0 --measure --pixel-size 0.65um',
        'measured/objects.csv',
    ),
    (
        'check-data photos --task segment --augmented strong --contact-sheet a.jpg',
        'a.jpg',
    ),
    (
        'check-data CONFIG --images 1 --augmented --contact-sheet b.jpg '
        '--cfg-options train_dataloader.num_workers=0',
        'b.jpg',
    ),
    ('plot run toy --keys loss --out curves.svg', 'curves.svg'),
    (
        'mistakes RUN --split test --out-dir wrong --overwrite --worst 1 --batch-size 2 '
        '--score-thr 0.1 --score-thr 5=0 --device cpu',
        'wrong/confusion.png',
    ),
    (
        'suggest run photos/val2017 --data photos --out-dir ranked --overwrite --device cpu '
        '--copy-to next 2',
        'ranked/suggestions.jpg',
    ),
    ('publish RUN weights.safetensors', 'weights.safetensors'),
    ('export CLASSIFIER model.onnx --no-check', 'model.onnx'),
    ('export CLASSIFIER model.onnx --no-check --overwrite --half', 'model.onnx'),
    ('convert ema.pth converted.pth --to original --ema --prefix student.', 'converted.pth'),
]
# Options that need a GPU, a program that is not installed or other data, or exclude each other, and the
# sentence that says so.
REFUSED = {
    'train TOY --amp': 'needs a GPU, and torch finds none',
    'train --data photos --flip --no-flip': 'exclude each other',
    'train TOY --log-to tensorboard': 'tensorboard',
    'train --data photos --pseudo-labels': 'is for folders of predict --labels',
    'check-data photos --pseudo-labels': 'is for folders of predict --labels',
    'train --data photos --similar-classes keep': 'is for several',
    'check-data photos --similar-classes keep': 'is for several',
}


@cache
def make_parser(command):
    parser = ArgumentParser()
    import_module(f'mmgcvit.commands.{command.replace("-", "_")}').add_options(parser)
    return parser


def list_rows(command):
    """Return the rows of a command's table: each argument as in --help, and its help."""
    parser = make_parser(command)
    formatter = parser._get_formatter()
    rows = []
    for action in parser._actions:
        if action.help in (SUPPRESS, None) or '--help' in action.option_strings:
            continue
        names = action.option_strings
        value = '' if action.nargs == 0 else formatter._format_args(action, action.dest.upper())
        if not names:
            text = value
        elif isinstance(action, BooleanOptionalAction):
            text = ', '.join(names)
        else:
            text = ', '.join(f'{name} {value}'.strip() for name in names)
        rows.append([f'`{text}`', formatter._expand_help(action)])
    return rows


@pytest.mark.parametrize('command', COMMANDS)
def test_the_page_lists_the_arguments_of_the_parser(command):
    rows = list_rows(command)
    expected = '\n'.join(f'| {name} | {text} |' for name, text in rows)
    assert find_table('docs/commands.md', f'`mmgcvit {command}`') == rows, expected


@pytest.mark.parametrize('command', COMMANDS)
def test_each_option_is_used_by_a_run(command):
    """--progress and --no-progress are two options."""
    used = set()
    for line in (*[line for line, _ in LINES], *REFUSED):
        if line.startswith(f'{command} '):
            used.update(line.split())
    unused = []
    for action in make_parser(command)._actions:
        names = {*action.option_strings} - {'-h', '--help'}
        is_pair = isinstance(action, BooleanOptionalAction)
        if names and not (names <= used if is_pair else names & used):
            unused.append(action.dest)
    assert unused == []


@pytest.fixture(scope='module')
def call_line(digits, work_dirs, tmp_path_factory):
    """Yield a function that runs a line in one folder; it returns exit code and output."""
    folder = tmp_path_factory.mktemp('options')
    shutil.copytree(digits / 'coco', folder / 'photos')
    write_video(folder / 'film.avi')
    backbone = torch.load(work_dirs['classification'] / 'epoch_1.pth', weights_only=False)
    weights = {
        f'student.{name.removeprefix("backbone.")}': weight
        for name, weight in backbone['state_dict'].items()
        if name.startswith('backbone.')
    }
    torch.save({'state_dict': {}, 'state_dict_ema': weights}, folder / 'ema.pth')
    places = {
        'RUN': work_dirs['detection'],
        'SEGMENTOR': work_dirs['segmentation'],
        'CLASSIFIER': work_dirs['classification'],
        'CONFIG': CONFIGS / 'detect.py',
        'TOY': TOY,
    }
    rank = {'RANK': '0', 'LOCAL_RANK': '0', 'WORLD_SIZE': '1', 'MASTER_ADDR': '127.0.0.1'}

    def call_line(line):
        words = ['-m', 'mmgcvit', *(str(places.get(word, word)) for word in line.split())]
        more = {**rank, 'MASTER_PORT': str(port)} if '--launcher pytorch' in line else {}
        environment = environment_for(digits, **more)
        ended = fork_server.run(*words, environment=environment, folder=folder)
        return folder, ended.returncode, ended.stdout + ended.stderr

    with reserve_port() as port:
        yield call_line


@pytest.mark.slow
def test_the_options_work_together(call_line):
    for line, written in LINES:
        folder, code, output = call_line(line)
        assert code == 0, f'{line}\n{output[-3000:]}'
        assert (folder / written).exists(), line


@pytest.mark.slow
@pytest.mark.parametrize('line', REFUSED)
def test_an_option_that_lacks_a_device_or_a_program_says_so(line, call_line):
    _, code, output = call_line(line)
    assert (code, REFUSED[line] in output) == (1, True), output
