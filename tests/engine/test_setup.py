"""A run formats its config once, and lets cuDNN time its kernels in training only."""

from unittest import mock

import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from mmgcvit.engine.hooks.cudnn_benchmark import CudnnBenchmarkHook
from mmgcvit.engine.setup import open_runner

from .random_training import EPOCHS, make_config, read_last_state, run


def test_cudnn_times_its_kernels_in_training_only(tmp_path, monkeypatch):
    seen = {'train': set(), 'val': set()}

    class NoteHook(Hook):
        def _before_iter(self, runner, mode, **_):
            seen[mode].add(torch.backends.cudnn.benchmark)

    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', True)
    cfg = make_config(tmp_path, EPOCHS, get_score=lambda: 1.0)
    cfg.custom_hooks = [CudnnBenchmarkHook(), NoteHook()]
    cfg.env_cfg = {'cudnn_benchmark': True}
    run(cfg)
    assert seen == {'train': {True}, 'val': {False}}


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
