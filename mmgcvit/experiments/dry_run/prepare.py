"""A config made small: few images, few pixels, few iterations, no network."""

from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from .data import limit_data, use_miniature_data
from .machine import fit_machine, leave_weights_out
from .schedule import shorten
from .sizes import limit_boxes, limit_depth, shrink_images

OBSERVER = 'mmgcvit.experiments.dry_run.observer'


@dataclass
class Options:
    """What of a config is made small.

    Attributes:
        own_data: Use the first images of the config's own data, not a miniature.
        depth: Blocks of each stage of the backbone at most; None leaves them.
        shrink: What images' sides are divided by.
        keep_weights: Load pretrained weights as the config says.
    """

    own_data: bool = False
    depth: int | None = None
    shrink: int = 8
    keep_weights: bool = False


def prepare(cfg: Config, folder: Path, options: Options) -> list[str]:
    """Make a config small, in place, and write the data that it then reads.

    Args:
        cfg: A whole config.
        folder: Where data and results go: ``<folder>/data`` and ``<folder>/run``.
        options: What is made small.

    Returns:
        What was changed, a sentence each.

    Raises:
        SystemExit: The config's data is of a kind that there is no miniature of; the message says what to do.
    """
    notes = [] if options.own_data else use_miniature_data(cfg, folder / 'data')
    notes += limit_data(cfg)
    notes += shrink_images(cfg, options.shrink) + limit_boxes(cfg)
    if options.depth is not None:
        notes += limit_depth(cfg, options.depth)
    if not options.keep_weights:
        notes += leave_weights_out(cfg)
    notes += shorten(cfg)
    notes += fit_machine(cfg)
    observe(cfg)
    cfg.work_dir = str(folder / 'run')
    return notes


def observe(cfg: Config) -> None:
    """Have the processes write down what they do, for the checks afterwards; and make them repeatable."""
    imports = cfg.get('custom_imports') or {'imports': [], 'allow_failed_imports': False}
    names = [imports['imports']] if isinstance(imports['imports'], str) else list(imports['imports'])
    cfg.custom_imports = {**imports, 'imports': [*names, OBSERVER]}
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'mmgcvit.DryRunObserver', 'priority': 'LOWEST'}]
    if (cfg.get('randomness') or {}).get('seed') is None:
        cfg.randomness = {**(cfg.get('randomness') or {}), 'seed': 0}
