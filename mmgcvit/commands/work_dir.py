"""The folder that a run writes to."""

from pathlib import Path

from ..errors import UserError
from ..files import refusal_of


def make_work_dir(work_dir: str) -> None:
    """Make a run's folder, with those above it, unless it is there.

    Raises:
        UserError: It cannot be made, or nothing can be written into it.
    """
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
    else:
        refusal = refusal_of(Path(work_dir))
        reason = refusal and f'it is not writable: {refusal.strerror}'
    if reason is not None:
        raise UserError(f'the work dir {work_dir} cannot be used ({reason}): name another one with --work-dir')
