"""Commands called in this process, on the toy of the checkpoints' tests with this project's hooks."""

import sys
from itertools import count
from pathlib import Path

import pytest

from mmgcvit.commands.main import run_command

CONFIG = str(Path(__file__).parents[1] / 'checkpoints' / 'toy_config.py')
NUMBERS = count()
HOOKS = (
    'default_hooks.checkpoint.type=mmgcvit.AtomicCheckpointHook',
    'default_hooks.exact_resume.type=mmgcvit.ExactResumeHook',
)


@pytest.fixture
def as_before(monkeypatch):
    """What commands change in their process."""
    monkeypatch.setattr(sys, 'argv', [])
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


def call(name, *arguments, options=()):
    """Call a command; what it says where it is refused, None where it is not."""
    # What mmengine keeps of a run goes by its name, for which it takes the second.
    options = ['--cfg-options', *HOOKS, f'experiment_name=call{next(NUMBERS)}', *options]
    try:
        run_command(name, [*arguments, '--device', 'cpu', *options])
    except SystemExit as ended:
        return str(ended.code)
    return None
