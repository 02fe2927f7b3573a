"""A call on rank 0 has the same result, or an error, on all ranks."""

import threading
import time
from datetime import timedelta
from unittest.mock import Mock

import pytest
import torch.distributed as dist

from mmgcvit.errors import CheckpointError
from mmgcvit.mmengine_utils import call_on_rank_0

from .fork_server import run_on_ranks

ERRORS = [
    CheckpointError('no file'),
    OSError(28, 'disk full'),
    RuntimeError('a lock', threading.Lock()),
    SystemExit(3),
    KeyboardInterrupt(),
]


def collect_errors():
    """Call a function that raises on rank 0, for each type of error.

    Return what this rank raised, and a result.
    """
    raised = []
    for error in ERRORS:
        try:
            call_on_rank_0(Mock(side_effect=error))
        except BaseException as caught:
            raised.append(f'{type(caught).__name__}: {caught}')
    return raised, call_on_rank_0(lambda: 7)


def wait_for_rank_0():
    """Call a function that takes longer than a collective may."""
    dist.distributed_c10d._set_pg_timeout(timedelta(seconds=1))
    call_on_rank_0(time.sleep, 2)


@pytest.mark.skipif(
    not hasattr(dist.distributed_c10d, '_set_pg_timeout'), reason='torch before 2.3'
)
def test_rank_0_may_take_longer_than_the_timeout_of_collectives():
    run_on_ranks(wait_for_rank_0, [(), ()])


def test_every_error_of_rank_0_reaches_all_ranks():
    """Otherwise the other ranks would wait for rank 0 until a timeout."""
    (raised, result), (raised_on_other, other_result) = run_on_ranks(collect_errors, [(), ()])
    assert result == other_result == 7
    for error, first, other in zip(ERRORS, raised, raised_on_other, strict=True):
        assert first.startswith(type(error).__name__)
        assert other == f'UserError: rank 0 stopped: {first}'
