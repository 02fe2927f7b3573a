"""Train a toy model in separate processes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmgcvit.checkpoints.reading import check_intact, read_checkpoint

from ..fork_server import free_port
from ..tools.commands import call

CONFIG = Path(__file__).with_name('toy_config.py')
ITERATIONS = (
    *(
        'train_cfg._delete_=True',
        'train_cfg.type=mmgcvit.IterBasedTrainLoop',
        'train_cfg.max_iters=6',
        'train_cfg.val_interval=2',
    ),
    *('default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=2'),
    'train_dataloader.sampler.type=InfiniteSampler',
    'default_hooks.logger.type=LoggerHook',
    'default_hooks.logger.log_metric_by_epoch=False',
)


def train(work_dir, *options, settings=(), config=CONFIG, folder=None, **environment):
    """Train the toy model. Return the output."""
    command = ['-m', 'mmgcvit', 'train', config, '--work-dir', work_dir, *options]
    if settings:
        command += ['--cfg-options', *settings]
    return call('', *command, folder=folder, **environment)


def train_in_two(work_dir, *options, **more):
    """Train the toy model on two ranks, with the environment of torch's launcher, which is tested
    elsewhere.
    """
    launcher = {
        'WORLD_SIZE': '2',
        'MASTER_ADDR': '127.0.0.1',
        'MASTER_PORT': str(free_port()),
        **more,
    }

    def run(rank):
        return train(
            work_dir, '--launcher', 'pytorch', *options, RANK=rank, LOCAL_RANK=rank, **launcher
        )

    with ThreadPoolExecutor() as pool:
        return list(pool.map(run, '01'))


def names(folder):
    files = (
        path.name
        for path in folder.iterdir()
        if path.suffix in ('.pth', '.unfinished') or 'last' in path.name
    )
    return sorted(files)


def last(folder):
    """Read the checkpoint that last_checkpoint names."""
    path = Path((folder / 'last_checkpoint').read_text())
    check_intact(path)
    return read_checkpoint(str(path))
