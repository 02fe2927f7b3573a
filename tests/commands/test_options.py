"""Options that commands share have defaults, and invalid values are rejected before a config is read."""

import argparse

import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.commands.options import add_common_options, check_at_least
from mmgcvit.errors import UserError


def test_common_options_have_neutral_defaults_and_reject_invalid_values(capsys):
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    expected = {'work_dir': None, 'cfg_options': None, 'launcher': 'none', 'device': 'auto', 'local_rank': 0}
    expected['progress'] = False
    assert vars(parser.parse_args([])) == {**expected, 'trust_checkpoint': False}
    for option in ('--local_rank', '--local-rank'):
        assert parser.parse_args([f'{option}=3']).local_rank == 3
    for device in ('auto', 'cpu', 'cuda', 'cuda:1'):
        assert parser.parse_args(['--device', device]).device == device
    invalid = {
        'torch': 'invalid choice',
        **dict.fromkeys(('gpu', 'cuda:x', 'cpu:1', ''), 'expected auto, cpu, cuda or'),
    }
    for value, message in invalid.items():
        with pytest.raises(SystemExit):
            parser.parse_args(['--launcher' if value == 'torch' else '--device', value])
        assert message in capsys.readouterr().err


def test_numbers_below_their_minimum_are_rejected():
    args = argparse.Namespace(number=1, batch_sizes=[4, 0], none=None)
    check_at_least(args, number=1, none=1)
    with pytest.raises(UserError, match='--batch-sizes 0: expected at least 1'):
        check_at_least(args, batch_sizes=1)


def test_out_accepts_only_pickle_files():
    with pytest.raises(SystemExit, match=r'--out scores\.json: expected a name'):
        run_command('test', ['configs/demo/gcvit_digits_cls.py', 'x.pth', '--out', 'scores.json'])
