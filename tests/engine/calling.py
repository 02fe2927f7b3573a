"""Call commands in this process, on the toy model of the checkpoint tests with this project's hooks."""

import sys
from itertools import count
from pathlib import Path

import pytest

from mmgcvit.commands.main import run_command

CONFIG = str(Path(__file__).parents[1] / 'checkpoints' / 'toy_config.py')
RUN_IDS = count()
HOOKS = (
    'default_hooks.checkpoint.type=mmgcvit.AtomicCheckpointHook',
    'default_hooks.exact_resume.type=mmgcvit.ExactResumeHook',
)


@pytest.fixture
def restored_process(monkeypatch):
    """Restore sys.argv after the test, and skip mmengine's slow collection of the environment."""
    monkeypatch.setattr(sys, 'argv', [])
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


def call(name, *arguments, options=()):
    """Call a command. Return its error message, or None if it succeeds."""
    # mmengine stores a run's state under its experiment name, by default the time in seconds.
    options = ['--cfg-options', *HOOKS, f'experiment_name=call{next(RUN_IDS)}', *options]
    try:
        run_command(name, [*arguments, '--device', 'cpu', *options])
    except SystemExit as error:
        return str(error.code)
    return None
