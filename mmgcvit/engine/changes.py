"""What a resumed run has otherwise than the run that it goes on with: shown in a table, refused where it matters."""

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.logging import print_log
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..checkpoints.reading import read_outline
from ..checkpoints.resuming import RUN
from ..errors import CheckpointError, printable, shorten
from ..hosts.comparing import ABSENT, BRIEF, Difference, differences, is_of, plain_settings, settings_of_text

# What may be otherwise in a resumed run, by dotted names ('*' is anything, and what lies below is meant too). The rest
# may not: it makes another model of the run, other data, other steps.
MAY_CHANGE = (
    # How long it trains; a loop that counts otherwise is refused by exact_resume.py.
    'train_cfg',
    # When it saves, logs and draws, how it ends; other hooks change what is trained.
    *(
        f'default_hooks.{name}'
        for name in (
            *('checkpoint', 'logger', 'timer', 'runtime_info', 'visualization'),
            *('early_end', 'exact_resume', 'safe_load', 'finite_*', 'tf32'),
        )
    ),
    # What is scored; pictures and labels of validation may not.
    *('log_*', 'visualizer', 'val_cfg', 'val_evaluator', 'test_*', 'tta_*', 'data_checks'),
    *('*.damaged_images', 'custom_imports'),
    # Where files are; of annotations and images see MOVED.
    *('work_dir', 'experiment_name', '*.data_root', '*.backend_args', '*.file_client_args'),
    # Where weights came from at the start.
    *('model*.init_cfg', 'model*.pretrained'),
    # Which machine it runs on, in how many processes, in which precision and memory.
    *('launcher', 'env_cfg', 'strategy', 'runner_type', 'model_wrapper_cfg', 'compile', 'sync_bn', 'model*.with_cp'),
    *('find_unused_parameters', 'activation_checkpointing', 'efficient_conv_bn_eval', 'val_dataloader.batch_size'),
    *(f'optim_wrapper.{name}' for name in ('type', 'dtype', 'loss_scale', 'optimizer.fused', 'optimizer.foreach')),
    *(f'*_dataloader.{name}' for name in ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor')),
    # The checkpoint's seed is taken.
    'randomness',
)
# What --resume itself sets.
OF_THE_COMMAND = ('load_from', 'resume')
# What batch.py compares, by the images of a step, where the checkpoint says how many it was trained with.
IMAGES_OF_A_STEP = ('train_dataloader.batch_size', 'optim_wrapper.accumulative_counts', 'auto_scale_lr')
# Files and folders of which the last name says what they are, wherever they lie.
MOVED = ('*.ann_file', '*.data_prefix')
# One rule for the parameters' settings, in one group for each parameter or in few; without a name it is mmengine's.
CONSTRUCTORS = (ABSENT, 'DefaultOptimWrapperConstructor', 'mmgcvit.MergingOptimWrapperConstructor')
# Schedules of which the past does not depend on when they end.
STEPWISE = ('MultiStep', 'Step', 'Exponential', 'Constant')
# What to do where a longer run's schedules would stretch what they have done.
LONGER = (
    '. To train longer at the learning rate that it has come to, keep param_scheduler as it was, and set '
    'train_cfg.max_epochs (or max_iters) alone'
)
# Under what name in a checkpoint's meta it is written down, a line for each resuming with changes.
RESUMED_WITH = 'resumed_with_changes'


class Changes(NamedTuple):
    """What differs: settings that may, and others, which the user has accepted."""

    harmless: tuple[Difference, ...] = ()
    accepted: tuple[Difference, ...] = ()
    # The user's word for all that is compared later too, as the images of a step.
    is_free: bool = False
    # Why the checkpoint's config and the run's were not compared.
    not_compared: str = ''

    @property
    def schedules(self) -> bool:
        """Whether the optimizer's settings or the schedules, also only of the future, are not the checkpoint's."""
        return any(is_of(each.name, ('param_scheduler', 'optim_wrapper')) for each in self.accepted) or any(
            is_of(each.name, ('param_scheduler',)) for each in self.harmless
        )


NO_CHANGES = Changes()


def check_changes(cfg: Config, with_changes: bool) -> Changes:
    """Compare a run that is to be resumed with its checkpoint's config; a table shows what differs, in process 0.

    Raises:
        CheckpointError: Something is not as it was that has to be, and ``with_changes`` does not allow it.
    """
    source = cfg.get('load_from')
    if not cfg.get('resume') or not source:
        return Changes(is_free=with_changes)
    outline = read_outline(source)
    meta = outline['meta']
    text = meta.get('cfg')
    then, now = settings_of_text(text), plain_settings(cfg)
    if then is None or now is None:
        why = (
            f'{source} does not say what config it was trained with'
            if not text
            else f'what {source} says of the config that it was trained with cannot be read'
            if then is None
            else 'the config has values that cannot be written out'
        )
        print_log(printable(f'{why}: not compared'), 'current')
        return Changes(is_free=with_changes, not_compared=why)
    is_exact = RUN in outline
    found = [each for each in differences(then, now) if not is_of(each.name, OF_THE_COMMAND)]
    same_past = have_same_past(then.get('param_scheduler'), now.get('param_scheduler'), meta)
    harmless = tuple(each for each in found if may_change(each, same_past, is_exact))
    others = tuple(each for each in found if each not in harmless)
    if found and os.environ.get('RANK', '0') == '0':
        Console(highlight=False).print(table_of(others, harmless))
    if others and not with_changes:
        longer = LONGER if any(is_of(each.name, ('param_scheduler',)) for each in others) else ''
        raise CheckpointError(
            f'--resume: {source} was trained with other settings, and would not go on as that run '
            f'({shorten([str(each) for each in others])}). Set them as they were, or go on with the new ones with '
            f'--resume-with-changes, or start anew from its weights (load_from){longer}'
        )
    return Changes(harmless, others, with_changes)


def may_change(found: Difference, same_past: bool, is_exact: bool) -> bool:
    """Whether a resumed run that has a setting otherwise is still that run.

    The schedules have the ``same_past``; the checkpoint ``is_exact``, saved with what exact_resume.py goes on from.
    """
    if is_of(found.name, ('param_scheduler',)):
        return same_past and is_exact
    if is_of(found.name, IMAGES_OF_A_STEP):
        return is_exact
    if is_of(found.name, MOVED) and isinstance(found.then, str) and isinstance(found.now, str):
        return PurePath(found.then).name == PurePath(found.now).name
    if is_of(found.name, ('optim_wrapper.constructor',)):
        return found.then in CONSTRUCTORS and found.now in CONSTRUCTORS
    return is_of(found.name, MAY_CHANGE)


def have_same_past(then: Any, now: Any, meta: Mapping[str, Any]) -> bool:
    """Whether two configs' schedules have done the same before a checkpoint."""
    try:
        return not any(differences(past_of(then, meta), past_of(now, meta)))
    # A checkpoint may hold anything in their place.
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def past_of(schedules: Any, meta: Mapping[str, Any]) -> Any:
    """Schedules as far as they have acted before a checkpoint."""
    if isinstance(schedules, dict) and 'type' not in schedules:  # of several optimizers
        return {name: past_of(inner, meta) for name, inner in schedules.items()}
    past = []
    for schedule in [schedules] if isinstance(schedules, dict) else schedules or []:
        done = meta.get('epoch' if schedule.get('by_epoch', True) else 'iter', 0)
        if schedule.get('begin', 0) >= done:
            continue
        acted = dict(schedule)
        if 'milestones' in acted:
            acted['milestones'] = [step for step in acted['milestones'] if step <= done]
        if str(acted['type']).startswith(STEPWISE) and acted.get('end', done) >= done:
            acted.pop('end', None)
        past.append(acted)
    return past


def table_of(others: Sequence[Difference], harmless: Sequence[Difference]) -> Table:
    """What differs, first what may not."""
    table = Table('setting', 'then', 'now', box=box.SIMPLE_HEAD)
    for column in table.columns:
        column.overflow = 'fold'
    # Values are broken first, names only where little room would be left for these.
    table.columns[0].min_width = min(48, max((len(each.name) for each in (*others, *harmless)), default=0))
    for found, style in ((others, 'red'), (harmless, 'dim')):
        for each in found:
            cells = (each.name, *(BRIEF.repr(value) for value in (each.then, each.now)))
            table.add_row(*(Text(printable(cell), style=style) for cell in cells))
    return table


def in_a_line(found: Sequence[Difference]) -> str:
    """Differences as they are written into a log and a checkpoint."""
    return printable('; '.join(map(str, found)))
