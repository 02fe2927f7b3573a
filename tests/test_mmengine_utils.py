"""A call on rank 0 has the same result, or an error, on all ranks."""

import threading
from unittest.mock import Mock

from mmengine.dist import master_only

from mmgcvit.errors import CheckpointError
from mmgcvit.mmengine_utils import call_on_rank_0, run_without_ranks

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


def test_every_error_of_rank_0_reaches_all_ranks():
    """Otherwise the other ranks would wait for rank 0 until a timeout."""
    (raised, result), (raised_on_other, other_result) = run_on_ranks(collect_errors, [(), ()])
    assert result == other_result == 7
    assert raised[0] == 'CheckpointError: no file'
    assert raised_on_other[0] == 'UserError: no file'
    for error, first, other in zip(ERRORS[1:], raised[1:], raised_on_other[1:], strict=True):
        assert first.startswith(type(error).__name__)
        assert other == f'RuntimeError: rank 0 stopped: {first}'


def draw_with_and_without_ranks():
    draw = master_only(lambda: 'drawn')
    return [draw(), run_without_ranks()(draw)(), draw()]


def test_what_is_for_rank_0_runs_on_another_rank_without_ranks():
    _, rank_1 = run_on_ranks(draw_with_and_without_ranks, [()] * 2)
    assert rank_1 == [None, 'drawn', None]
