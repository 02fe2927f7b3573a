"""Options that commands share, and what is refused of them before anything is read."""

import argparse

import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.commands.options import add_common_options, check_at_least
from mmgcvit.errors import UserError


def test_common_options_leave_to_the_config_and_the_machine_what_is_not_asked_for(capsys):
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    expected = {'work_dir': None, 'cfg_options': None, 'launcher': 'none', 'device': 'auto', 'local_rank': 0}
    expected['progress'] = False
    assert vars(parser.parse_args([])) == {**expected, 'trust_checkpoint': False}
    for option in ('--local_rank', '--local-rank'):
        assert parser.parse_args([f'{option}=3']).local_rank == 3
    for device in ('auto', 'cpu', 'cuda', 'cuda:1'):
        assert parser.parse_args(['--device', device]).device == device
    refused = {
        'torch': 'invalid choice',
        **dict.fromkeys(('gpu', 'cuda:x', 'cpu:1', ''), 'expected auto, cpu, cuda or'),
    }
    for given, words in refused.items():
        with pytest.raises(SystemExit):
            parser.parse_args(['--launcher' if given == 'torch' else '--device', given])
        assert words in capsys.readouterr().err


def test_numbers_that_mean_nothing_are_refused():
    given = argparse.Namespace(number=1, batch_sizes=[4, 0], none=None)
    check_at_least(given, number=1, none=1)
    with pytest.raises(UserError, match='--batch-sizes 0: expected at least 1'):
        check_at_least(given, batch_sizes=1)


def test_predictions_are_written_to_a_pickle_alone():
    with pytest.raises(SystemExit, match=r'--out scores\.json: expected a name'):
        run_command('test', ['configs/demo/gcvit_digits_cls.py', 'x.pth', '--out', 'scores.json'])
