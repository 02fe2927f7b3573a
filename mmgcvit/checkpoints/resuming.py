"""Whether a run can go on from what a checkpoint says: counts, logs, the optimizer's and the schedulers' states."""

from collections.abc import Mapping, Sequence
from inspect import signature
from numbers import Real
from reprlib import repr as brief
from typing import Any

import torch
from mmengine.logging.history_buffer import HistoryBuffer
from torch import Tensor, nn

from ..errors import CheckpointError, first_line
from .values import what_is_wrong_with

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
    """Make sure that a run can go on from a checkpoint of mmengine's.

    Args:
        checkpoint: What a host is to resume from.
        source: For messages.
        model: The model, without wrappers.
        optimizer: The run's optimizer, None where each process has a share of it.
        schedulers: The run's schedulers, None where they are not to be resumed.

    Raises:
        CheckpointError: It lacks something, or holds something of another kind or shape.
    """
    try:
        check_counts(checkpoint.get('meta'))
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


def demand(condition: bool, otherwise: str) -> None:
    """Refuse a checkpoint of which something is not so."""
    if not condition:
        raise NotResumableError(otherwise)


def check_counts(meta: Any) -> None:
    """Epochs, iterations and the seed."""
    demand(isinstance(meta, dict), 'it has no meta')
    for name in ('epoch', 'iter'):
        count = meta.get(name)
        is_count = type(count) is int and 0 <= count <= MOST_STEPS
        demand(is_count, f'its meta.{name} is no number of steps ({brief(count)})')
    seed = meta.get('seed')
    demand(seed is None or (type(seed) is int and 0 <= seed < 2**32), f'its meta.seed is no seed ({brief(seed)})')


def check_hub(hub: Any) -> None:
    """What mmengine logs and keeps of a run."""
    demand(isinstance(hub, dict), 'it has no message_hub')
    for part in PARTS_OF_HUB:
        entries = hub.get(part)
        demand(isinstance(entries, dict), f'its message_hub has no {part}')
        demand(all(type(name) is str for name in entries), f'names in its message_hub.{part} are no text')
    demand(
        all(isinstance(value, HistoryBuffer) for value in hub['log_scalars'].values()),
        'its message_hub.log_scalars are no logs',
    )
    demand(all(type(value) is bool for value in hub['resumed_keys'].values()), 'its resumed_keys are no truth values')
    kept = hub['runtime_info'].get('keep_ckpt_ids', [])
    demand(isinstance(kept, list) and all(type(step) is int for step in kept), 'its keep_ckpt_ids are no steps')
    for name, value in hub['runtime_info'].items():
        if name.startswith('best_score'):
            demand(is_finite_number(value), f'its {name} is no score ({brief(value)})')


def check_average(state: Any, model: nn.Module) -> None:
    """The moving average of the weights, ``module.*`` beside what counts it."""
    demand(isinstance(state, dict), 'its ema_state_dict is none')
    expected = {f'module.{name}': tensor.shape for name, tensor in model.state_dict().items()}
    held = {name: getattr(value, 'shape', None) for name, value in state.items() if str(name).startswith('module.')}
    wrong = [name for name in {*expected, *held} if expected.get(name) != held.get(name)]
    demand(not wrong, f'its moving average does not fit the model ({", ".join(sorted(map(str, wrong))[:3])})')
    for name, value in state.items():
        wrong = what_is_wrong_with(value) if isinstance(value, Tensor) else None
        demand(wrong is None, f'its moving average of {name} has {wrong}')


def check_run(run: Any, model: nn.Module) -> None:
    """The seed, the batch, and the gradients of each process where a step was not complete."""
    demand(isinstance(run, dict), f'its {RUN} is none')
    seed = run.get('seed')
    demand(type(seed) is int and 0 <= seed < 2**32, f'its {RUN}.seed is no seed ({brief(seed)})')
    for name in ('processes', 'images', 'accumulated', 'epoch_length'):
        count = run.get(name)
        demand(type(count) is int and 0 < count <= MOST_STEPS, f'its {RUN}.{name} is no number ({brief(count)})')
    gradients = run.get('gradients')
    are_of_processes = isinstance(gradients, list) and len(gradients) in (0, run['processes'])
    demand(are_of_processes, f'its {RUN}.gradients are not those of its processes')
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    for own in gradients:
        demand(isinstance(own, dict), f'its {RUN}.gradients are none')
        wrong = [
            name for name, value in own.items() if name not in shapes or getattr(value, 'shape', None) != shapes[name]
        ]
        demand(not wrong, f'its gradients do not fit the model ({", ".join(sorted(map(str, wrong))[:3])})')


def check_optimizer(state: Any, optimizer: torch.optim.Optimizer) -> None:
    """The groups and the moments of an optimizer."""
    demand(isinstance(state, dict), "its optimizer's state is none")
    own, groups, moments = optimizer.param_groups, state.get('param_groups'), state.get('state')
    demand(isinstance(groups, list) and isinstance(moments, dict), "its optimizer's state is none")
    demand(len(groups) == len(own), f'its optimizer has {len(groups)} groups of parameters; the run has {len(own)}')
    parameters = {}
    for theirs, ours in zip(groups, own, strict=True):
        check_group(theirs, ours)
        # Switches that later versions of torch have added it sets itself.
        lacking = [name for name, value in optimizer.defaults.items() if is_of_numbers(value) and name not in theirs]
        demand(not lacking, f"its optimizer's groups lack {', '.join(lacking)}")
        parameters |= dict(zip(theirs['params'], ours['params'], strict=True))
    demand(len(parameters) == sum(len(group['params']) for group in own), 'its optimizer has a parameter twice')
    # One of each kind: hosts make a group of every parameter.
    for settings in {switches_of(group): group for group in groups}.values():
        check_steps_with(settings, optimizer)
    if 'base_param_settings' in state:
        check_settings(state['base_param_settings'], own[0])
    if 'loss_scaler' in state:
        check_scaler(state['loss_scaler'])
    expected = moments_of(optimizer)
    for index, entry in moments.items():
        demand(index in parameters and isinstance(entry, dict), 'its optimizer has the state of no parameter')
        demand(set(expected) <= set(entry), f'its optimizer is another one (it keeps {sorted(map(str, entry))})')
        for name, value in entry.items():
            demand(value is not None or name not in expected, f"its optimizer's {name} is none")
            check_moment(name, value, parameters[index], expected.get(name, False))


def check_group(theirs: Any, ours: Mapping[str, Any]) -> None:
    """One group of parameters, and its settings."""
    demand(isinstance(theirs, dict), "its optimizer's groups are none")
    indices = theirs.get('params')
    are_indices = isinstance(indices, list) and all(type(index) is int for index in indices)
    demand(
        are_indices and len(indices) == len(ours['params']),
        "its optimizer's groups hold other parameters than the run's",
    )
    check_settings(theirs, ours)


def check_settings(theirs: Any, ours: Mapping[str, Any]) -> None:
    """An optimizer's settings for one group."""
    demand(isinstance(theirs, dict) and 'lr' in theirs, "its optimizer's settings are none")
    for name, value in theirs.items():
        if name != 'params':
            demand(name in ours or name == 'initial_lr', f"its optimizer's groups have a setting {brief(name)}")
            if not is_setting_like(value, ours.get(name, 0.0)):
                raise NotResumableError(f"its optimizer's {name} is none ({brief(value)})")


def check_scaler(state: Any) -> None:
    """The factors by which losses of half precision are scaled; empty where they are not."""
    demand(
        isinstance(state, dict) and set(state) in (set(), SCALER) and all(map(is_finite_number, state.values())),
        "its loss scaler's state is none",
    )


def is_setting_like(value: Any, ours: Any) -> bool:
    """Whether a setting is of the kind that the run's own is."""
    if isinstance(value, Tensor):
        return value.numel() == 1 and bool(torch.isfinite(value).all())
    if isinstance(ours, bool) or ours is None or value is None:
        return value is None or isinstance(value, bool)
    if isinstance(ours, Sequence) and not isinstance(ours, str):
        return isinstance(value, Sequence) and len(value) == len(ours) and all(map(is_setting_like, value, ours))
    return is_finite_number(value) if isinstance(ours, Real | Tensor) else type(value) is type(ours)


def is_of_numbers(value: Any) -> bool:
    """Whether a setting is a number or a few, not a switch."""
    return isinstance(value, Real | Tensor | tuple) and not isinstance(value, bool)


def is_finite_number(value: Any) -> bool:
    """Whether a value is a number that a float can hold."""
    try:
        return isinstance(value, Real) and abs(float(value)) < float('inf')
    except OverflowError:
        return False


def switches_of(settings: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    """What decides how an optimizer steps: its switches, and of what type the numbers are."""
    return frozenset(
        (name, value if value is None or isinstance(value, bool) else type(value)) for name, value in settings.items()
    )


def check_steps_with(settings: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Whether an optimizer takes a step with settings, each of which may be: not all switches go together."""
    twin = twin_of(optimizer)
    twin.param_groups[0].update({name: value for name, value in settings.items() if name != 'params'})
    try:
        twin.step()
    # Whatever the optimizer says of them.
    except Exception as error:
        raise NotResumableError(f"its optimizer's settings do not go together ({first_line(error)})") from None


def moments_of(optimizer: torch.optim.Optimizer) -> dict[str, bool]:
    """What an optimizer keeps of each parameter, seen at one of its kind after a step; whether it has its shape."""
    twin = twin_of(optimizer)
    twin.step()
    (probe,) = twin.param_groups[0]['params']
    kept = {name: value for name, value in twin.state[probe].items() if value is not None}
    return {name: getattr(value, 'shape', None) == probe.shape for name, value in kept.items()}


def twin_of(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """One of an optimizer's kind, for a parameter of two numbers on its device, with a gradient."""
    kind, probe = type(optimizer), nn.Parameter(torch.zeros(2, device=optimizer.param_groups[0]['params'][0].device))
    probe.grad = torch.zeros_like(probe)
    taken = signature(kind).parameters
    return kind([probe], **{name: value for name, value in optimizer.defaults.items() if name in taken})


def check_moment(name: str, value: Any, parameter: Tensor, has_its_shape: bool) -> None:
    """What an optimizer keeps of one parameter under one name.

    Args:
        name: For messages.
        value: What a checkpoint says.
        parameter: The parameter.
        has_its_shape: Whether the run's own optimizer keeps a number for each of the parameter's.
    """
    if has_its_shape:
        demand(isinstance(value, Tensor), f"its optimizer's {name} is no tensor")
    if not isinstance(value, Tensor):
        demand(value is None or is_finite_number(value), f"its optimizer's {name} is no number")
        return
    demand(
        value.shape == parameter.shape or (value.numel() == 1 and not has_its_shape),
        f"its optimizer's {name} has the shape {tuple(value.shape)} where the parameter has {tuple(parameter.shape)}",
    )
    wrong = what_is_wrong_with(value)
    demand(wrong is None, f"its optimizer's {name} has {wrong}")
    if name == 'step' and not 0 <= float(value.max()) <= MOST_STEPS:
        raise NotResumableError(f"its optimizer's step is none ({brief(value)})")


def check_schedulers(states: Any, schedulers: Sequence[Any]) -> None:
    """The states of schedulers, which become their attributes."""
    demand(isinstance(states, list) and len(states) == len(schedulers), 'it has other schedulers than the run')
    for state, scheduler in zip(states, schedulers, strict=True):
        own, kind = scheduler.state_dict(), type(scheduler).__name__
        # Functions are not saved: a scheduler has its own.
        own = {name: value for name, value in own.items() if not callable(value)}
        demand(isinstance(state, dict) and set(state) == set(own), f'it has no {kind} where the run has')
        for name, value in state.items():
            if not is_like(value, own[name]):
                raise NotResumableError(f"its {kind}'s {name} is none ({brief(value)})")


def is_like(value: Any, ours: Any) -> bool:
    """Whether a scheduler's attribute is of the kind that the run's own is."""
    if isinstance(ours, bool) or ours is None:
        return isinstance(value, bool | None | Real)
    if isinstance(ours, Real):
        return is_finite_number(value)
    if isinstance(ours, list):
        return isinstance(value, list) and len(value) == len(ours) and all(map(is_finite_number, value))
    if isinstance(ours, str):  # the name of the setting that it steps
        return value == ours
    return type(value) is type(ours)
