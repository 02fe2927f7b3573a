"""``mmgcvit ablate`` trains rows with mmgcvit train, skips finished trainings and writes a table."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from mmgcvit.commands import ablate

from ..tools.commands import CONFIGS, environment_for


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Write a table of a small classifier and one with wider MLPs; return the arguments of the command."""
    (tmp_path / 'wide.py').write_text(
        f'_base_ = {str(CONFIGS / "classify.py")!r}\nmodel = dict(backbone=dict(arch=dict(mlp_ratio=3)))\n'
    )
    rows = {'plain': {'name': 'plain', 'published': [50]}, 'wide': {'name': 'wide MLPs', 'config': 'wide.py'}}
    table = {'title': 'Small', 'metrics': ['top-1'], 'baseline': str(CONFIGS / 'classify.py'), 'rows': rows}
    path = tmp_path / 'ablations' / 'tables.yml'
    path.parent.mkdir()
    path.write_text(yaml.safe_dump({'small': table}, sort_keys=False))
    monkeypatch.setattr(ablate, 'TABLES', str(path))
    return ['small', '--data', CONFIGS / 'classify.py', '--work-dir', tmp_path / 'work']


@pytest.fixture
def trainings(monkeypatch):
    """Replace trainings by calls that log a score of 80 plus their index; indices in ``failing`` fail."""
    calls, failing = [], set()

    def train(command):
        calls.append(command)
        log = Path(command[command.index('--work-dir') + 1]) / '20260101_000000' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(json.dumps({'accuracy/top1': 80.0 + len(calls)}))
        return SimpleNamespace(returncode=int(len(calls) in failing))

    monkeypatch.setattr(subprocess, 'run', train)
    return SimpleNamespace(calls=calls, failing=failing)


def test_all_rows_are_trained_seed_by_seed_and_finished_trainings_are_kept(call, tables, trainings, tmp_path):
    trainings.failing.add(3)
    code, printed = call('ablate', *tables, '--seeds', 2)
    assert code == 1
    assert 'failed (exit code 1). Fix the error above, then use --resume' in printed
    assert '| wide MLPs | 1 | 82.00 |' in (tmp_path / 'work' / 'table.md').read_text()
    code, printed = call('ablate', *tables, '--seeds', 2, '--resume')
    assert code == 0
    folders = [Path(command[command.index('--work-dir') + 1]) for command in trainings.calls]
    order = [str(folder.relative_to(tmp_path / 'work')) for folder in folders]
    assert order == ['seed_0/plain', 'seed_0/wide', 'seed_1/plain', 'seed_1/plain', 'seed_1/wide']
    assert '| plain | 2 | 82.50 ± 2.12 | 50 |' in printed


def test_row_is_trained_by_the_train_command_with_its_seed(call, tables, trainings):
    call('ablate', *tables, '--seeds', 1, '--gpus', 8, '--cfg-options', 'train_cfg.max_epochs=3')
    command = trainings.calls[0]
    assert command[1:5] == ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=8']
    assert command[5:8] == ['-m', 'mmgcvit', 'train']
    assert {'--resume', '--launcher'} <= set(command)
    assert command[-3:] == ['--cfg-options', 'train_cfg.max_epochs=3', 'randomness.seed=0']


def test_invalid_arguments_are_rejected_before_training(call, tables, trainings):
    call('ablate', *tables, '--seeds', 1)
    before = len(trainings.calls)
    for arguments, words in (
        (['nothing'], "there is no table 'nothing'. Choose one of small"),
        ([*tables, '--seeds', 0], '--seeds 0: expected at least 1'),
        (['small', '--data', 'digit'], "--data digit: expected 'digits', 'own' or the path of an existing config"),
        (tables, 'already has trained rows. Continue with --resume'),
        ([*tables, '--resume', '--gpus', 2], 'was started with other options'),
    ):
        code, printed = call('ablate', *arguments)
        assert code == 1
        assert words in printed
    assert len(trainings.calls) == before


@pytest.mark.long
def test_table_is_trained(call, tables, digits, monkeypatch):
    for name, value in environment_for(digits).items():
        monkeypatch.setenv(name, value)
    options = ['--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
    code, printed = call('ablate', *tables, '--seeds', 1, '--device', 'cpu', *options)
    assert code == 0
    assert '| wide MLPs | 1 |' in printed
