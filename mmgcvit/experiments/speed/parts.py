"""How the time of inference divides among backbone, neck and the rest."""

import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median

from torch import nn

from .work import wait_for

PARTS = ('backbone', 'neck')
REST = 'heads and the rest'


def seconds_of_parts(model: nn.Module, step: Callable[[], None], device: str, rounds: int) -> dict[str, float]:
    """Seconds of a step in each part that the model has, medians over rounds; a GPU is waited for between parts.

    Args:
        model: The host's; heard by hooks that are gone afterwards.
        step: What to do.
        device: Where.
        rounds: How often.
    """
    began, spent = {}, defaultdict(list)

    def listen(name: str) -> list:
        def before(*_: object) -> None:
            wait_for(device)
            began[name] = time.perf_counter()

        def after(*_: object) -> None:
            wait_for(device)
            spent[name][-1] += time.perf_counter() - began[name]

        part = getattr(model, name)
        return [part.register_forward_pre_hook(before), part.register_forward_hook(after)]

    names = [name for name in PARTS if isinstance(getattr(model, name, None), nn.Module)]
    hooks = [hook for name in names for hook in listen(name)]
    try:
        for _ in range(rounds):
            for name in (*names, REST):
                spent[name].append(0.0)
            start = time.perf_counter()
            step()
            whole = time.perf_counter() - start
            spent[REST][-1] = whole - sum(spent[name][-1] for name in names)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: median(spent[name]) for name in (*names, REST)}
