"""Checkpoints that commands are given: whether they hold the model's weights, and which one a run goes on from."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from ..hosts.mmengine import running_statistics
from . import CheckpointError, DamagedCheckpointError, newest_whole_checkpoint
from .for_hosts import read_for_host
from .loading import comparable_shape, grid_in, is_table
from .newest import LAST
from .values import check_numbers

NAMED_AT_MOST = 3
WRAPPERS = re.compile(r'^(module\.)+')


def check_fits(model: nn.Module, source: str, part: str = '', trust: bool = False) -> None:
    """Make sure that a checkpoint has every tensor of a model: hosts load what fits, and leave the rest at random.

    Args:
        model: The model, wrapped or not.
        source: The checkpoint.
        part: Look at tensors under this prefix only, for example ``backbone.``.
        trust: Whether code in it may run.

    Raises:
        CheckpointError: It lacks tensors, or has some of other shapes, or that are no finite weights; position tables
            may differ, they are resized. Or it cannot be read.
    """
    check_content_fits(model, read_for_host(source, trust=trust), source, part)


def check_content_fits(model: nn.Module, content: Mapping[str, Any], source: str, part: str = '') -> None:
    """Likewise, of a checkpoint that :func:`read_for_host` has read; see :func:`check_fits`."""
    held = {WRAPPERS.sub('', name): tensor for name, tensor in content.get('state_dict', {}).items()}
    wanted = {WRAPPERS.sub('', name): tensor for name, tensor in model.state_dict().items()}
    wanted = {name: tensor for name, tensor in wanted.items() if name.startswith(part)}
    wrong = [
        name
        for name, tensor in wanted.items()
        if name not in held or comparable_shape(name, held[name]) != comparable_shape(name, tensor)
    ]
    if wrong:
        raise CheckpointError(
            f"{source} does not fit the config's model: {len(wrong)} of its {len(wanted)} tensors are missing or of "
            f'other shapes ({", ".join(wrong[:NAMED_AT_MOST])}, ...). Released weights and those of other code bases: '
            "'mmgcvit convert' makes a checkpoint of them"
        )
    for name in filter(is_table, wanted):
        grid_in(held, name, source)
    numbers = {WRAPPERS.sub('', name) for name in [*dict(model.named_parameters()), *running_statistics(model)]}
    check_numbers({name: held[name] for name in wanted if name in numbers}, source)


def resume(cfg: Config, name: str) -> None:
    """Have a run go on from a checkpoint, or with ``auto`` from the newest whole one of its work folder.

    Where that has no checkpoint at all the run begins, so that one command line serves a job that is started again.

    Raises:
        CheckpointError: Checkpoints are there, and none is whole.
    """
    cfg.resume, cfg.load_from = True, None if name == 'auto' else name
    if name != 'auto':
        return
    newest = newest_whole_checkpoint(Path(cfg.work_dir))
    if newest.path is not None:
        cfg.load_from = str(newest.path)
        print_log(f'--resume: {newest}', 'current', logging.WARNING if newest.damaged else logging.INFO)
    elif newest.damaged:
        raise CheckpointError(f'--resume: {newest}. Name a checkpoint, or train in another folder (--work-dir)')
    elif (last := Path(cfg.work_dir) / LAST).is_file():
        # Checkpoints may be saved elsewhere (out_dir of the hook); the name of the last one stands here all the same.
        cfg.load_from = last.read_text(errors='replace').strip()
        if not Path(cfg.load_from or '?').is_file():
            raise CheckpointError(
                f'--resume: {cfg.work_dir} has no checkpoint, and {last} names none that is there '
                f'({cfg.load_from!r:.200}). Name a checkpoint; to begin anew, remove {last}'
            )
    else:
        print_log(f'--resume: {cfg.work_dir} has no checkpoint; the run begins', 'current')


def with_whole_one_beside(error: DamagedCheckpointError, source: str) -> str:
    """What to say of a damaged checkpoint that a user has named: which one beside it is whole."""
    newest = newest_whole_checkpoint(Path(source).parent)
    return str(error) if newest.path is None else f'{error}. Whole, beside it: {newest.path}'
