"""Peak memory of a backbone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import nn

from .cases import Case
from .peaks import peak_memory_of


def peak_memory(build: Callable[[], nn.Module], case: Case, checkout: Path | None = None) -> int:
    """Bytes that two steps of a case need at most beyond what the process holds before them.

    Args:
        build: Makes the model; of a kind that can be pickled, for it is called in a new process.
        case: What to do.
        checkout: As in :class:`OwnProcess`.
    """
    # So that the compiler's own memory is not counted.
    return peak_memory_of(partial(prepared, build, case), case.device, int(case.compiled), checkout)


def prepared(build: Callable[[], nn.Module], case: Case) -> Callable[[], None]:
    """The step of a case."""
    return case.prepare(build())
