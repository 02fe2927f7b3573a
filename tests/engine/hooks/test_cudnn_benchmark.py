"""CuDNN times its kernels in training only."""

import torch
from mmengine.hooks import Hook

from mmgcvit.engine.hooks.cudnn_benchmark import CudnnBenchmarkHook

from ..random_training import EPOCHS, make_config, run


def test_cudnn_times_its_kernels_in_training_only(tmp_path, monkeypatch):
    seen = set()

    class NoteHook(Hook):
        def _before_iter(self, runner, mode, **_):
            seen.add((mode, torch.backends.cudnn.benchmark))

    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', True)
    options = {
        'custom_hooks': [CudnnBenchmarkHook(), NoteHook()],
        'env_cfg': {'cudnn_benchmark': True},
    }
    run(make_config(tmp_path, EPOCHS, get_score=lambda: 1.0, **options))
    assert seen == {('train', True), ('val', False)}
