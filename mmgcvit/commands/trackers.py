"""Where a training's curves go besides its work dir: programs that show them while it runs."""

from argparse import ArgumentParser
from collections.abc import Sequence
from importlib.util import find_spec

from mmengine.config import Config, ConfigDict

from ..errors import UserError

# What one types, mmengine's backend for it, and the package that this needs.
TRACKERS = {
    'tensorboard': ('TensorboardVisBackend', 'tensorboard'),
    'wandb': ('WandbVisBackend', 'wandb'),
}


def add_tracker_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        '--log-to',
        nargs='+',
        default=[],
        choices=TRACKERS,
        help='show losses and scores in these programs too: tensorboard --logdir WORK_DIR, or your W&B account',
    )


def log_to(cfg: Config, trackers: Sequence[str]) -> None:
    """Add the backends of ``trackers`` to those of a config's visualizer.

    Raises:
        UserError: A package is missing.
    """
    missing = [TRACKERS[name][1] for name in trackers if find_spec(TRACKERS[name][1]) is None]
    if missing:
        raise UserError(f'--log-to: {" and ".join(missing)} not installed: pip install {" ".join(missing)}')
    visualizer = cfg.setdefault('visualizer', ConfigDict(type='Visualizer'))
    backends = visualizer.get('vis_backends') or [ConfigDict(type='LocalVisBackend')]
    present = {backend['type'] for backend in backends}
    added = [TRACKERS[name][0] for name in trackers if TRACKERS[name][0] not in present]
    visualizer.vis_backends = [*backends, *(ConfigDict(type=backend) for backend in added)]
