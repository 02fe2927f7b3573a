"""Trainings of the toy in processes of their own."""

from pathlib import Path

from mmgcvit.checkpoints import check_whole, read_checkpoint

from .. import fork_server
from ..programs import last_of
from ..tools.commands import environment_for

CONFIG = Path(__file__).with_name('toy_config.py')

ITERATIONS = (
    'train_cfg._delete_=True',
    'train_cfg.by_epoch=False',
    'train_cfg.max_iters=6',
    'train_cfg.val_interval=2',
)
ITERATIONS += ('default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=2')
ITERATIONS += ('train_dataloader.sampler.type=InfiniteSampler',)


def start(work_dir, *options, settings=(), **environment):
    """Train the toy; how it ended."""
    command = ['-m', 'mmgcvit.commands.train', CONFIG, '--work-dir', work_dir, *options]
    if settings:
        command += ['--cfg-options', *settings]
    return fork_server.run(*command, environment=environment_for('', **environment))


def train(work_dir, *options, settings=(), code=0, **environment):
    """Train the toy, which ends with a code; what it has printed."""
    ended = start(work_dir, *options, settings=settings, **environment)
    assert ended.returncode == code, last_of(ended.stdout, ended.stderr)
    return ended.stdout + ended.stderr


def names(folder):
    return sorted(
        path.name for path in folder.iterdir() if path.suffix in ('.pth', '.unfinished') or 'last' in path.name
    )


def last(folder):
    """What the checkpoint that is named as the last holds."""
    path = Path((folder / 'last_checkpoint').read_text())
    check_whole(path)
    return read_checkpoint(str(path))
