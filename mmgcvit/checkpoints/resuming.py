"""Whether a run can go on from what a checkpoint says: counts, logs, the optimizer's and the schedulers' states."""

from collections.abc import Mapping, Sequence
from copy import copy
from math import isfinite
from numbers import Real
from reprlib import repr as brief
from typing import Any

import torch
from mmengine.logging.history_buffer import HistoryBuffer
from torch import Tensor, nn

from ..errors import CheckpointError, first_line, shorten
from .weights import are_finite

MOST_STEPS = 10**12
# torch.amp.GradScaler's state.
SCALER = {'scale', 'growth_factor', 'backoff_factor', 'growth_interval', '_growth_tracker'}
# Under what mmgcvit.ExactResumeHook saves what it says of a run.
RUN = 'mmgcvit_run'
PARTS_OF_HUB = ('log_scalars', 'runtime_info', 'resumed_keys')


class NotResumableError(Exception):
    """What of a checkpoint cannot be gone on from; becomes the end of a sentence."""


def check_resumable(
    checkpoint: Mapping[str, Any],
    source: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    schedulers: Sequence[Any] | None = None,
) -> None:
    """Make sure that a run can go on from a checkpoint of mmengine's, which lacks nothing that it has of another shape.

    The model comes without wrappers; no optimizer where each process has a share of it, no schedulers where they are
    not to be resumed.
    """
    try:
        meta = checkpoint.get('meta')
        demand(isinstance(meta, dict), 'it has no meta')
        for name in ('epoch', 'iter'):
            demand_count(meta.get(name), f'its meta.{name} is no number of steps')
        if meta.get('seed') is not None:
            demand_count(meta['seed'], 'its meta.seed is no seed', most=2**32 - 1)
        check_hub(checkpoint.get('message_hub'))
        if 'ema_state_dict' in checkpoint:
            check_average(checkpoint['ema_state_dict'], model)
        if RUN in checkpoint:
            check_run(checkpoint[RUN], model)
        if optimizer is not None and 'optimizer' in checkpoint:
            check_optimizer(checkpoint['optimizer'], optimizer)
        if schedulers is not None and 'param_schedulers' in checkpoint:
            check_schedulers(checkpoint['param_schedulers'], schedulers)
    except NotResumableError as error:
        raise CheckpointError(
            f'{source} cannot be resumed: {error}. A checkpoint that a run of this config has saved can; to start anew '
            'from its weights, name it as load_from'
        ) from None


def demand(condition: bool, otherwise: str, *values: Any) -> None:
    """Refuse a checkpoint of which something is not so, and say what stands there instead."""
    if not condition:
        raise NotResumableError(' '.join([otherwise, *(f'({brief(value)})' for value in values)]))


def demand_count(value: Any, otherwise: str, least: int = 0, most: int = MOST_STEPS) -> None:
    """Refuse what is no whole number of a range."""
    demand(type(value) is int and least <= value <= most, otherwise, value)


def check_hub(hub: Any) -> None:
    """What mmengine logs and keeps of a run."""
    demand(isinstance(hub, dict), 'it has no message_hub')
    for part in PARTS_OF_HUB:
        demand(isinstance(hub.get(part), dict), f'its message_hub has no {part}')
        demand(all(type(name) is str for name in hub[part]), f'names in its message_hub.{part} are no text')
    are_logs = all(isinstance(value, HistoryBuffer) for value in hub['log_scalars'].values())
    demand(are_logs, 'its message_hub.log_scalars are no logs')
    demand(all(type(value) is bool for value in hub['resumed_keys'].values()), 'its resumed_keys are no truth values')
    for name, value in hub['runtime_info'].items():
        if name.startswith('best_score'):
            demand(is_like(value, 0.0), f'its {name} is no score', value)


def check_average(state: Any, model: nn.Module) -> None:
    """The moving average of the weights, ``module.*`` beside what counts it."""
    demand(isinstance(state, dict), 'its ema_state_dict is none')
    expected = {f'module.{name}': tensor.shape for name, tensor in model.state_dict().items()}
    held = {name: getattr(value, 'shape', None) for name, value in state.items() if str(name).startswith('module.')}
    wrong = sorted(name for name in {*expected, *held} if expected.get(name) != held.get(name))
    demand(not wrong, f'its moving average does not fit the model ({shorten(wrong)})')
    for name, value in state.items():
        demand(are_finite(value), f'its moving average of {name} has values that are not finite')


def check_run(run: Any, model: nn.Module) -> None:
    """The seed, the batch, and the gradients where a step was not complete."""
    demand(isinstance(run, dict), f'its {RUN} is none')
    demand_count(run.get('seed'), f'its {RUN}.seed is no seed', most=2**32 - 1)
    for name in ('processes', 'images', 'accumulated', 'epoch_length'):
        demand_count(run.get(name), f'its {RUN}.{name} is no number', least=1)
    gradients = run.get('gradients')
    demand(isinstance(gradients, dict), f'its {RUN}.gradients are none')
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    wrong = [str(name) for name, value in gradients.items() if getattr(value, 'shape', None) != shapes.get(name, 0)]
    demand(not wrong, f'its gradients do not fit the model ({shorten(wrong)})')


def check_optimizer(state: Any, optimizer: torch.optim.Optimizer) -> None:
    """The groups and the moments of an optimizer: as a copy of the run's own takes them."""
    is_state = isinstance(state, dict) and isinstance(state.get('param_groups'), list)
    demand(is_state and isinstance(state.get('state'), dict), "its optimizer's state is none")
    taken = copy(optimizer)
    try:
        taken.load_state_dict({name: state[name] for name in ('state', 'param_groups')})
    except Exception as error:  # Whatever torch says to what nobody writes.
        raise NotResumableError(f"its optimizer's state does not fit the run's ({first_line(error)})") from None
    for theirs, ours in zip(taken.param_groups, optimizer.param_groups, strict=True):
        check_settings(theirs, ours)
        # Switches that later versions of torch have added it sets itself.
        numbers = (name for name, value in optimizer.defaults.items() if isinstance(value, float | Tensor | tuple))
        lacking = [name for name in numbers if name not in theirs]
        demand(not lacking, f"its optimizer's groups lack {', '.join(lacking)}")
    if 'base_param_settings' in state:
        check_settings(state['base_param_settings'], optimizer.param_groups[0])
    if 'loss_scaler' in state:
        scaler = state['loss_scaler']
        is_scaler = isinstance(scaler, dict) and set(scaler) in (set(), SCALER)
        demand(is_scaler and all(is_like(value, 0.0) for value in scaler.values()), "its loss scaler's state is none")
    for parameter, entry in taken.state.items():
        is_of_one = isinstance(parameter, Tensor) and isinstance(entry, dict)
        demand(is_of_one, 'its optimizer has the state of no parameter')
        for name, value in entry.items():
            check_moment(name, value, parameter)


def check_settings(theirs: Any, ours: Mapping[str, Any]) -> None:
    """An optimizer's settings for one group of parameters."""
    demand(isinstance(theirs, dict) and 'lr' in theirs, "its optimizer's settings are none")
    for name, value in theirs.items():
        demand(name in ours or name == 'initial_lr', f"its optimizer's groups have a setting {brief(name)}")
        demand(name == 'params' or is_like(value, ours.get(name, 0.0)), f"its optimizer's {name} is none", value)


def check_moment(name: str, value: Any, parameter: Tensor) -> None:
    """What an optimizer keeps of one parameter under one name: numbers of its shape, or one."""
    if not isinstance(value, Tensor):
        demand(value is None or is_like(value, 0.0), f"its optimizer's {name} is no number", value)
        return
    demand(
        value.shape == parameter.shape or value.numel() == 1,
        f"its optimizer's {name} has the shape {tuple(value.shape)} where the parameter has {tuple(parameter.shape)}",
    )
    demand(are_finite(value), f"its optimizer's {name} has values that are not finite")
    if name == 'step':
        demand(0 <= float(value.max()) <= MOST_STEPS, "its optimizer's step is none", value)


def check_schedulers(states: Any, schedulers: Sequence[Any]) -> None:
    """The states of schedulers, which become their attributes."""
    demand(isinstance(states, list) and len(states) == len(schedulers), 'it has other schedulers than the run')
    for state, scheduler in zip(states, schedulers, strict=True):
        kind = type(scheduler).__name__
        # Functions are not saved: a scheduler has its own.
        own = {name: value for name, value in scheduler.state_dict().items() if not callable(value)}
        demand(isinstance(state, dict) and set(state) == set(own), f'it has no {kind} where the run has')
        for name, value in state.items():
            demand(is_like(value, own[name]), f"its {kind}'s {name} is none", value)


def is_like(value: Any, ours: Any) -> bool:
    """Whether a setting is of the kind that the run's own is, and finite."""
    if isinstance(value, Tensor):
        return value.numel() == 1 and bool(torch.isfinite(value).all())
    if isinstance(ours, bool) or ours is None:
        return isinstance(value, bool | None | Real)
    if isinstance(ours, Real | Tensor):
        return isinstance(value, Real) and abs(value) < 10**300 and isfinite(value)
    if isinstance(ours, str):  # As the name of what a scheduler steps.
        return value == ours
    if isinstance(ours, list | tuple):
        return isinstance(value, list | tuple) and len(value) == len(ours) and all(map(is_like, value, ours))
    if isinstance(ours, Mapping):  # Milestones.
        return isinstance(value, Mapping) and all(is_like(count, 0) for count in value.values())
    return type(value) is type(ours)
