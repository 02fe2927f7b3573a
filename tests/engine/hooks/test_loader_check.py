"""A run whose data workers would fail ends with one sentence before its first batch."""

from contextlib import nullcontext
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from mmgcvit.engine.hooks.loader_check import LoaderCheckHook
from mmgcvit.errors import UserError

SIDE = 64


class Images(Dataset):
    def __init__(self, number, load=lambda: None):
        self.number, self.load = number, load

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        self.load()
        return {'inputs': torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)}


def check(loader):
    LoaderCheckHook().before_train(SimpleNamespace(train_dataloader=loader, val_loop=None))


@given(workers=st.integers(0, 4), size=st.integers(1, 5), free=st.floats(0, 2))
def test_shared_memory_must_hold_the_batches_that_workers_load_in_advance(workers, size, free):
    """``free`` is relative to what the images need."""
    assume(not 0.85 < free < 1.15)
    needed = workers * 2 * size * 3 * SIDE**2
    rejected = nullcontext()
    if free < 1 and workers:
        rejected = pytest.raises(
            UserError, match=r'MB free, but .* take about .*--shm-size=8g\), fewer workers'
        )
    usage = SimpleNamespace(free=free * needed)
    with mock.patch('shutil.disk_usage', return_value=usage), rejected:
        check(DataLoader(Images(9), size, num_workers=workers))


def test_a_system_without_dev_shm_is_not_checked(tmp_path):
    folder = tmp_path / 'absent'
    with mock.patch('mmgcvit.engine.hooks.loader_check.SHARED_MEMORY', folder):
        check(DataLoader(Images(9), 4, num_workers=2))


class ImagesWithMaps(Images):
    """A map has as many bytes as its image."""

    def __getitem__(self, index):
        inputs = super().__getitem__(index)['inputs']
        return {'inputs': inputs, 'data_samples': SimpleNamespace(gt_sem_seg=inputs.clone())}


@pytest.mark.parametrize(
    ('moment', 'options', 'processes', 'is_rejected'),
    [
        ('before_train', {}, 1, False),
        ('before_train', {'val_loop': True}, 1, True),
        ('before_train', {'dataset': ImagesWithMaps(9)}, 1, True),
        ('before_train', {}, 2, True),
        ('before_test', {}, 1, False),
        ('before_test', {}, 2, True),
    ],
)
def test_the_batches_of_all_loaders_and_processes_of_a_machine_share_its_memory(
    moment, options, processes, is_rejected
):
    """There is memory for those of one loader and a half."""
    loader = DataLoader(options.get('dataset') or Images(9), num_workers=2)
    runner = SimpleNamespace(
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        val_loop=options.get('val_loop'),
    )
    module = 'mmgcvit.engine.hooks.loader_check'
    usage = SimpleNamespace(free=1.5 * 2 * 2 * 3 * SIDE**2)

    def gather(host):
        return [host] * processes + ['another machine']

    rejected = pytest.raises(UserError, match='MB free, but') if is_rejected else nullcontext()
    with (
        mock.patch('shutil.disk_usage', return_value=usage),
        mock.patch(f'{module}.all_gather_object', gather),
        rejected,
    ):
        getattr(LoaderCheckHook(), moment)(runner)
