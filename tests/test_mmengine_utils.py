"""Helpers for mmengine's batches and ranks."""

import threading
import time
from datetime import timedelta
from unittest.mock import Mock

import pytest
import torch
import torch.distributed as dist
from mmengine.structures import BaseDataElement

from mmgcvit import mmengine_utils
from mmgcvit.errors import CheckpointError, UserError
from mmgcvit.mmengine_utils import call_on_rank_0, find_suspect_images

from .fork_server import run_on_ranks


def batch_of(*pixels, **more):
    samples = [
        BaseDataElement(metainfo={'img_path': f'{index}.jpg'}) for index in range(len(pixels))
    ]
    return {'inputs': [torch.tensor(values) for values in pixels], 'data_samples': samples, **more}


def test_suspect_images_have_nan_or_infinite_pixels_or_are_all_images():
    batch = batch_of([0.0, 1.0], [float('nan'), 1.0], [0.0, float('-inf')])
    for inputs in (batch['inputs'], torch.stack(batch['inputs'])):
        assert find_suspect_images({**batch, 'inputs': inputs}) == ['1.jpg', '2.jpg']
    assert find_suspect_images(batch_of([0, 255], [3, 4])) == ['0.jpg', '1.jpg'], (
        'all images if all are finite'
    )
    assert find_suspect_images({'data_samples': batch['data_samples'][:2]}) == ['0.jpg', '1.jpg'], (
        'no pixels'
    )
    unnamed = [
        BaseDataElement(metainfo=info)
        for info in ({'sample_idx': 7}, {'img_path': None, 'sample_idx': 8})
    ]
    assert find_suspect_images({'data_samples': unnamed}) == ['index 7', 'index 8']
    for other in (None, [], torch.ones(2), {}, {'data_samples': None}, {'data_samples': {'a': []}}):
        assert find_suspect_images(other) == []


def collect_errors():
    """Call a function that raises on rank 0, for each type of error.

    Return what this rank raised, and a result.
    """
    mmengine_utils.ERROR_DELAY = 0
    errors = [
        CheckpointError('no file'),
        OSError(28, 'disk full'),
        RuntimeError('a lock', threading.Lock()),
    ]
    raised = []
    for error in (*errors, SystemExit(3), KeyboardInterrupt()):
        try:
            call_on_rank_0(Mock(side_effect=error))
        except BaseException as caught:
            raised.append((type(caught).__name__, isinstance(caught, UserError), str(caught)[:40]))
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
    """Otherwise the other ranks would wait for rank 0 until a timeout.

    Rank 0 alone prints a UserError.
    """
    (first, result), (second, other) = run_on_ranks(collect_errors, [(), ()])
    assert result == other == 7
    names = ['CheckpointError', 'OSError', 'RuntimeError', 'SystemExit', 'KeyboardInterrupt']
    assert [name for name, *_ in first] == names
    assert second[0] == ('SystemExit', False, '1')
    assert [name for name, *_ in second[1:]] == ['RuntimeError'] * 4
    assert second[1][2] == 'rank 0 stopped: OSError: [Errno 28] disk'
