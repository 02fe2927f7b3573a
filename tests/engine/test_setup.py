"""A run formats its config once, and lets cuDNN time its kernels in training only. If its data
workers or batch norms fail, it ends with one sentence.
"""

import os
import time
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import nn
from torch.utils.data import DataLoader

from mmgcvit.engine.hooks.compile_backbone import CudnnBenchmarkHook
from mmgcvit.engine.setup import explain_loader_errors, open_runner
from mmgcvit.errors import UserError

from .random_training import EPOCHS, make_config, read_last_state, run


def test_cudnn_times_its_kernels_in_training_only(tmp_path, monkeypatch):
    seen = set()

    class NoteHook(Hook):
        def _before_iter(self, runner, mode, **_):
            seen.add((mode, torch.backends.cudnn.benchmark))

    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', True)
    options = {'custom_hooks': [CudnnBenchmarkHook(), NoteHook()]}
    options['env_cfg'] = {'cudnn_benchmark': True}
    run(make_config(tmp_path, EPOCHS, get_score=lambda: 1.0, **options))
    assert seen == {('train', True), ('val', False)}


def test_a_config_is_formatted_once_for_all_checkpoints(tmp_path):
    text = Config.pretty_text.fget
    with (
        mock.patch.object(Config, 'pretty_text', property(formatted := mock.Mock(wraps=text))),
        open_runner(make_config(tmp_path, EPOCHS), None, progress=False) as runner,
    ):
        runner.train()
    assert formatted.call_count == 1
    saved = read_last_state(tmp_path, ['meta'])['meta']
    assert (saved['iter'], saved['cfg']) == (12, Config.pretty_text.fget(runner.cfg))


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
