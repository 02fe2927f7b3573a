"""When data workers or batch norms fail, a run ends with one sentence."""

import multiprocessing
import os

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmgcvit.engine.loader_errors import explain_loader_errors
from mmgcvit.errors import UserError


@pytest.mark.parametrize(
    'model',
    [
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3)),
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.SyncBatchNorm(3)),
    ],
)
def test_a_batch_norm_that_gets_one_value_is_explained(model):
    with pytest.raises(UserError, match='a batch has one image, but'), explain_loader_errors():
        model(torch.rand(1, 3, 2, 2))


@pytest.mark.parametrize(
    ('raising', 'error'),
    [
        (lambda: nn.BatchNorm2d(3)(torch.rand(2, 3)), ValueError),  # expected 4 dimensions
        (lambda: nn.BatchNorm2d(3)(torch.rand(1, 4, 2, 2)), RuntimeError),  # 3 channels
        (lambda: next(iter(DataLoader([torch.ones(1), torch.ones(2)], 2))), RuntimeError),
        (lambda: int('x'), ValueError),
    ],
)
def test_other_errors_are_raised_as_they_are(raising, error):
    with pytest.raises(error) as raised, explain_loader_errors():
        raising()
    assert not isinstance(raised.value, UserError)


class DamagedImages(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize('workers', [0, 1])
def test_an_error_of_a_data_worker_is_the_sentence_that_it_raised(workers):
    error = UserError('a.jpg is damaged.\nRemove it')
    loader = DataLoader(DamagedImages(error), num_workers=workers)
    with (
        pytest.raises(UserError, match=r'^a\.jpg is damaged\.\nRemove it$'),
        explain_loader_errors(),
    ):
        next(iter(loader))


@pytest.mark.parametrize('error', [RuntimeError('a fault'), ValueError('a fault')])
def test_an_error_of_another_kind_in_a_data_worker_keeps_its_traceback(error):
    loader = DataLoader(DamagedImages(error), num_workers=1)
    with (
        pytest.raises(type(error), match=r'(?s)in __getitem__.*a fault'),
        explain_loader_errors(),
    ):
        next(iter(loader))


@pytest.mark.parametrize('is_killed', [False, True])
def test_a_worker_that_waits_for_ever_or_is_killed_ends_the_run_with_one_sentence(is_killed):
    is_over = multiprocessing.Event()
    load = (lambda batch: os._exit(9)) if is_killed else (lambda batch: is_over.wait())
    loader = DataLoader([0], collate_fn=load, num_workers=1, timeout=1)
    batches = iter(loader)
    with (
        pytest.raises(UserError, match=r'^DataLoader [^\n]*timeout=SECONDS[^\n]*$'),
        explain_loader_errors(),
    ):
        next(batches)
    is_over.set()  # else torch would wait 5 s for the worker
