"""Record the operators that a function calls."""

from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile


def record_operators(function: Callable[[], object]) -> set[str]:
    """Return the names of the operators that a function calls on the CPU."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        function()
    return {event.name for event in profiled.events()}
