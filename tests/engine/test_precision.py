"""Automatic precision: mixed where there is a GPU, bfloat16 where it has it, plain elsewhere, in any host's scripts."""

import pytest
import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.optim import AmpOptimWrapper, OptimWrapper

CONFIG = {'type': 'mmgcvit.AutoPrecisionOptimWrapper', 'loss_scale': 'dynamic', 'accumulative_counts': 2}


@pytest.fixture
def build(monkeypatch):
    """Build the wrapper of the config on a machine with or without a GPU, with or without bfloat16."""

    def build(gpu, bf16=False, **changes):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: (8, 0) if bf16 else (7, 5))
        monkeypatch.setattr('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available', lambda: gpu)
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
        return OPTIM_WRAPPERS.build({**CONFIG, 'optimizer': optimizer, **changes})

    return build


def test_without_a_gpu_training_is_plain(build):
    wrapper = build(gpu=False)
    assert type(wrapper) is OptimWrapper
    assert wrapper._accumulative_counts == 2


@pytest.mark.parametrize(('bf16', 'dtype'), [(True, torch.bfloat16), (False, torch.float16)])
def test_with_a_gpu_training_is_mixed_in_its_best_type(build, bf16, dtype):
    wrapper = build(gpu=True, bf16=bf16)
    assert type(wrapper) is AmpOptimWrapper
    assert wrapper.cast_dtype == dtype
    assert wrapper._accumulative_counts == 2


def test_a_named_type_is_kept(build):
    assert build(gpu=True, bf16=True, dtype='float16').cast_dtype == torch.float16
