"""The options that commands share are parsed and checked, and no output folder loses results."""

import math
import os
from argparse import ArgumentParser, Namespace
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from mmgcvit.commands.options import (
    add_cfg_options,
    check_at_least,
    check_out_dir,
    collect_score_thr,
    create_out_dir,
    hide_gpus,
    split_checkpoint,
)
from mmgcvit.errors import UserError
from mmgcvit.own.training.options import MAX_NUMBER


@pytest.mark.parametrize(
    ('word', 'is_checkpoint'),
    [
        ('epoch_1.pth', True),
        ('EPOCH_1.PTH', True),
        ('https://host/x.safetensors?download=true', True),
        ('https://host/x.jpg?name=x.pth', False),
        ('photos', False),
    ],
)
def test_a_checkpoint_is_told_from_an_input_by_its_suffix(word, is_checkpoint):
    """That of a URL stands before its query."""
    expected = (word, ['a.jpg']) if is_checkpoint else (None, [word, 'a.jpg'])
    assert split_checkpoint(word, ['a.jpg']) == expected


def test_repeated_cfg_options_all_have_an_effect():
    parser = ArgumentParser()
    add_cfg_options(parser)
    args = parser.parse_args(['--cfg-options', 'a=1', 'b=2', '--cfg-options', 'c=3'])
    assert args.cfg_options == ['a=1', 'b=2', 'c=3']


@pytest.mark.parametrize(('device', 'visible'), [('cpu', '-1'), ('auto', '0'), ('cuda', '0')])
def test_device_cpu_hides_gpus(device, visible, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    hide_gpus(device)
    assert os.environ['CUDA_VISIBLE_DEVICES'] == visible


@pytest.mark.parametrize(
    ('value', 'is_rejected'),
    [
        (None, False),
        (0, True),
        (1, False),
        ([1, 0], True),
        (MAX_NUMBER, False),
        (MAX_NUMBER + 1, True),
        (math.nan, True),
    ],
)
def test_numbers_outside_of_their_limits_are_rejected(value, is_rejected):
    message = '--some-name .*: expected at least 1, and at most 1,000,000,000'
    rejected = pytest.raises(UserError, match=message) if is_rejected else nullcontext()
    with rejected:
        check_at_least(Namespace(some_name=value), some_name=1)


@pytest.mark.parametrize('text', ['', 'x', 'nan', '1.1', '-0.1', '=0.5', 'cat=', 'cat=2'])
def test_thresholds_are_numbers_from_0_to_1(text):
    with pytest.raises(UserError, match=f'--score-thr {text}: expected a number from 0 to 1'):
        collect_score_thr([text])


def test_the_last_threshold_counts_of_all_classes_and_of_each():
    texts = ['0.2', 'cat=0.5', '0.3', 'a=b=1', 'cat=0.4']
    assert collect_score_thr(texts) == [0.3, {'cat': 0.4, 'a=b': 1.0}]


OUTDATED = ('*.json', 'vis/*.jpg')


def make_args(out_dir=None, overwrite=False):
    return Namespace(out_dir=out_dir, overwrite=overwrite, default_dir=Path('found'))


def write_results(folder):
    """Write results of an earlier command, and a file of the user."""
    for name in ('a.json', 'vis/b.jpg', 'notes.txt'):
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def list_files(folder):
    return sorted(path.name for path in Path(folder).rglob('*') if path.is_file())


def test_the_default_folder_is_a_new_one_unless_it_is_overwritten(empty_folder):
    write_results('found')
    check_out_dir(make_args(), ['a.json'])
    assert create_out_dir(make_args(), 'vis', OUTDATED) == Path('found2')
    assert list_files('found') == ['a.json', 'b.jpg', 'notes.txt']
    assert create_out_dir(make_args(overwrite=True), 'vis', OUTDATED) == Path('found')
    assert list_files('found') == ['notes.txt']


def test_results_in_a_named_folder_are_kept_unless_they_are_overwritten(empty_folder):
    """Also those that another command writes between the check and the creation."""
    mine = Path('mine')
    args = make_args(mine)
    check_out_dir(args, ['a.json'])
    write_results(mine)
    for reject in (
        partial(check_out_dir, args, ['a.json']),
        partial(create_out_dir, args, None, OUTDATED),
    ):
        with pytest.raises(UserError, match=r'mine already has results \(a\.json'):
            reject()
    (mine / 'a.json').unlink()
    with pytest.raises(UserError, match=r'mine already has results \(vis\)'):
        create_out_dir(args, 'vis', ['*.json'])
    assert list_files(mine) == ['b.jpg', 'notes.txt']
    args = make_args(mine, overwrite=True)
    check_out_dir(args, ['vis'])
    assert create_out_dir(args, 'vis', OUTDATED) == mine
    assert list_files(mine) == ['notes.txt']
