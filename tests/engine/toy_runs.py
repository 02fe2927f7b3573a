"""Trainings of the toy in processes of their own."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmgcvit.checkpoints import check_whole, read_checkpoint

from .. import fork_server
from ..processes import free_port
from ..programs import last_of
from ..tools.commands import environment_for

CONFIG = Path(__file__).with_name('toy_config.py')

FLEXIBLE = ('runner_type=FlexibleRunner', 'custom_hooks.0.type=SyncBuffersHook')
SHARED_OUT = (*FLEXIBLE, 'strategy.type=mmgcvit.FSDPStrategy', 'strategy.model_wrapper.use_orig_params=True')
SHARED_OUT += ('strategy.model_wrapper.type=MMFullyShardedDataParallel',)
SHARED_OUT += ('strategy.model_wrapper.auto_wrap_policy.type=mmgcvit.wrap_blocks',)
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
    command = ['-m', 'mmgcvit', 'train', CONFIG, '--work-dir', work_dir, *options]
    if settings:
        command += ['--cfg-options', *settings]
    return fork_server.run(*command, environment=environment_for('', **environment))


def train(work_dir, *options, settings=(), code=0, **environment):
    """Train the toy, which ends with a code; what it has printed."""
    ended = start(work_dir, *options, settings=settings, **environment)
    assert ended.returncode == code, last_of(ended.stdout, ended.stderr)
    return ended.stdout + ended.stderr


def train_in_two_processes(work_dir, *options, settings=(), code=0, **environment):
    """Train the toy in two processes, which both end with a code."""
    together = {'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free_port()), **environment}

    def run(rank):
        return start(
            work_dir, '--launcher', 'pytorch', *options, settings=settings, RANK=rank, LOCAL_RANK=rank, **together
        )

    with ThreadPoolExecutor() as pool:
        for ended in pool.map(run, '01'):
            assert ended.returncode == code, last_of(ended.stdout, ended.stderr)


def names(folder):
    return sorted(
        path.name for path in folder.iterdir() if path.suffix in ('.pth', '.unfinished') or 'last' in path.name
    )


def last(folder):
    """What the checkpoint that is named as the last holds."""
    path = Path((folder / 'last_checkpoint').read_text())
    check_whole(path)
    return read_checkpoint(str(path))
