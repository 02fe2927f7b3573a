"""A run whose data workers or batch norms fail ends with one sentence."""

import os
import time

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from mmgcvit.engine.setup import explain_loader_errors
from mmgcvit.errors import UserError


def test_a_batch_norm_that_gets_one_value_is_explained():
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))
    with pytest.raises(UserError, match='a batch has one image, but'), explain_loader_errors():
        pooled(torch.rand(1, 3, 2, 2))


@pytest.mark.parametrize('load', [lambda batch: time.sleep(2), lambda batch: os._exit(9)])
def test_a_worker_that_waits_for_ever_or_is_killed_ends_the_run_with_one_sentence(load):
    loader = DataLoader([0], collate_fn=load, num_workers=1, timeout=1)
    with (
        pytest.raises(UserError, match=r'^DataLoader [^\n]*timeout=SECONDS[^\n]*$'),
        explain_loader_errors(),
    ):
        next(iter(loader))
