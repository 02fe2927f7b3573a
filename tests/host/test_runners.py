"""A call on rank 0 has the same result, or an error, on all ranks."""

import threading
import time
from datetime import timedelta
from unittest.mock import Mock, patch

import pytest
import torch.distributed as dist
from mmengine.dist import broadcast_object_list

from mmgcvit.errors import CheckpointError
from mmgcvit.host.runners import call_on_rank_0

from ..fork_server import run_on_ranks
from ..programs import SECONDS

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


def set_timeout(seconds):
    """Set how long this rank waits in a collective for the others."""
    dist.distributed_c10d._set_pg_timeout(timedelta(seconds=seconds))


def wait_for_rank_0():
    """Call a function that takes longer than a collective may. Return whether it had ended before the
    next collective, for which ranks on a busy machine have more time.
    """
    store = dist.distributed_c10d._get_default_store()
    has_ended = []

    def call():
        time.sleep(0.5)
        store.set('has ended', '')

    def broadcast(sent):
        has_ended.append(store.check(['has ended']))
        set_timeout(SECONDS)
        broadcast_object_list(sent)

    set_timeout(0.1)
    with patch('mmgcvit.host.runners.broadcast_object_list', broadcast):
        call_on_rank_0(call)
    return has_ended


@pytest.mark.skipif(
    not hasattr(dist.distributed_c10d, '_set_pg_timeout'), reason='torch before 2.3'
)
def test_rank_0_may_take_longer_than_the_timeout_of_collectives():
    assert run_on_ranks(wait_for_rank_0, [(), ()]) == [[True], [True]]


def test_every_error_of_rank_0_reaches_all_ranks():
    """Otherwise the other ranks would wait for rank 0 until a timeout."""
    (raised, result), (raised_on_other, other_result) = run_on_ranks(collect_errors, [(), ()])
    assert result == other_result == 7
    for error, first, other in zip(ERRORS, raised, raised_on_other, strict=True):
        assert first.startswith(type(error).__name__)
        assert other == f'UserError: rank 0 stopped: {first}'
