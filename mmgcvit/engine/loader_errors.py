"""Turn errors of dataloaders, and of batches that they make, into one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

from torch import Tensor

from ..errors import UserError, get_first_line
from ..host.private_api import is_batch_norm, list_loader_modules
from .hooks.loader_check import FEWER_WORKERS, LOADER_ARGUMENTS, MORE_MEMORY

# What may have gone wrong in a data worker, and what to do.
WORKER_ADVICE = (
    'The memory or /dev/shm, through which data workers pass batches on, may be full. '
    f'Use {MORE_MEMORY} or {FEWER_WORKERS}. '
    'For slow disks, set train_dataloader.timeout=SECONDS. Then resume the run'
)
ONE_IMAGE = (
    'a batch has one image, but batch norm after global pooling needs two. Set '
    'train_dataloader.batch_size=2, or train_dataloader.drop_last=True if only the last batch of '
    'an epoch is smaller'
)


@contextmanager
def explain_loader_errors() -> Iterator[None]:
    """Turn errors of data workers, and of batch norms that get one value, into a UserError of one
    line.
    """
    try:
        yield
    except UserError as error:
        reason = find_worker_reason(error)
        if reason is None:
            raise
        raise UserError(reason) from error
    except RuntimeError as error:
        if not is_raised_by_loader(error):
            raise
        message = f'{get_first_line(error).rstrip(". ")}. {WORKER_ADVICE}'
        raise UserError(message, arguments=['resume', *LOADER_ARGUMENTS]) from error
    except ValueError as error:
        if not is_raised_by_one_value(error):
            raise
        raise UserError(ONE_IMAGE, arguments=['batch_size', 'cfg_options']) from error


def find_worker_reason(error: UserError) -> str | None:
    """Return the message of an error that was raised in a data worker, or None for another one.

    Of such an error, torch raises one of the same type whose message contains the worker's
    traceback, which ends with the type and the message.
    """
    type_name = f'{type(error).__module__}.{type(error).__qualname__}'
    _, is_traceback, reason = str(error).rpartition(f'\n{type_name}: ')
    return reason.strip() if is_traceback else None


def is_raised_by_loader(error: RuntimeError) -> bool:
    """Return whether torch's dataloader has raised an error itself, because a worker is dead or
    late, and not passed on one that was raised in a worker.
    """
    *_, (innermost, _) = walk_tb(error.__traceback__)
    return innermost.f_globals['__name__'] in list_loader_modules()


def is_raised_by_one_value(error: ValueError) -> bool:
    """Return whether a batch norm with one value per channel has raised an error."""
    for frame, _ in walk_tb(error.__traceback__):
        maps = frame.f_locals.get('input')
        if is_batch_norm(frame.f_locals.get('self')) and isinstance(maps, Tensor):
            return maps.numel() == maps.shape[1]
    return False
