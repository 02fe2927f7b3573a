"""Mixed precision that the GPU supports, the TF32 switch, and a warning about another effective batch size."""

import pytest
import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner

from mmgcvit.config import read_config
from mmgcvit.engine.train import compare_batch_sizes

from ..conftest import ROOT
from .drawing import make_config, make_evaluation


def test_mixed_precision_uses_bfloat16_or_float16_by_gpu_and_float32_on_a_cpu(monkeypatch):
    config = {'type': 'mmgcvit.AutoPrecisionOptimWrapper', 'loss_scale': 'dynamic', 'accumulative_counts': 2}
    for capability, requested, dtype in (
        *((None, None, None), ((8, 0), None, torch.bfloat16)),
        *(((7, 5), None, torch.float16), ((8, 0), 'float16', torch.float16)),
    ):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda capability=capability: capability is not None)
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda capability=capability: capability)
        monkeypatch.setattr('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available', lambda: True)
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
        wrapper = OPTIM_WRAPPERS.build({**config, 'optimizer': optimizer, 'dtype': requested})
        assert type(wrapper) is (AmpOptimWrapper if dtype else OptimWrapper)
        assert getattr(wrapper, 'cast_dtype', None) == dtype
        assert wrapper._accumulative_counts == 2
        assert not dtype or wrapper.loss_scaler.is_enabled() == (dtype is torch.float16)


class RecordHook(Hook):
    """Record torch's TF32 settings in each iteration."""

    def __init__(self):
        self.recorded = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.recorded.append(get_settings())

    before_val_iter = before_test_iter = before_train_iter


def get_settings():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


class TestTF32:
    @pytest.fixture(params=[(False, True), (True, False)])
    def previous(self, request):
        """Set torch's settings before a run to the default, and to its opposite."""
        before = get_settings()
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = request.param
        yield request.param
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before

    def run(self, folder, hooks):
        """Train, validate and test for two steps each. Return the settings in each step, and after the training."""
        loops = make_evaluation() | make_evaluation(loop='test')
        loop = {'by_epoch': True, 'max_epochs': 1}
        runner = Runner.from_cfg(make_config(folder, loop, images=6, **loops, default_hooks=hooks))
        runner.register_hook(hook := RecordHook())
        runner.train()
        between = get_settings()
        runner.test()
        return hook.recorded, between

    def test_the_switch_sets_tf32_in_all_loops_and_the_previous_settings_are_restored(self, tmp_path, previous):
        for enabled in (True, False):
            cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'tf32.py')
            cfg.merge_from_dict({'default_hooks.tf32.enabled': enabled})
            recorded, between = self.run(tmp_path / str(enabled), cfg.default_hooks.to_dict())
            assert recorded == [(enabled, enabled)] * 6
            assert between == get_settings() == previous
        assert self.run(tmp_path / 'without', {})[0] == [previous] * 6


def make_cfg(base=16, images=2, counts=1, enable=False):
    return Config(
        {
            'auto_scale_lr': {'enable': enable, 'base_batch_size': base},
            'train_dataloader': {'batch_size': images},
            'optim_wrapper': {'accumulative_counts': counts},
        }
    )


PLAIN, SUM = make_cfg(), make_cfg(base=512, images=64, counts=2)
# Half the base batch size with two accumulation steps equals the recipe's, as docs/large_models.md says.
HALVED = make_cfg(base=8, images=1, counts=2)


def test_another_effective_batch_size_than_the_recipes_gives_a_warning_with_both():
    """Accumulation steps of a recipe count too."""
    for cfg, recipe, world_size, expected, actual in (
        *((PLAIN, PLAIN, 16, 16, 32), (make_cfg(counts=4), PLAIN, 8, 16, 64)),
        *((SUM, SUM, 4, 1024, 512), (HALVED, PLAIN, 4, 16, 8)),
    ):
        warning = compare_batch_sizes(cfg, recipe, world_size)
        assert f'batch size of {expected}; this run has {actual} ({world_size} x ' in warning


def test_an_equal_effective_batch_size_or_lr_scaling_gives_no_warning():
    for cfg, recipe, world_size in (
        *((PLAIN, PLAIN, 8), (make_cfg(images=1, counts=2), PLAIN, 8), (HALVED, PLAIN, 8)),
        *((make_cfg(enable=True), PLAIN, 3), (make_cfg(base=512, images=64, counts=4), SUM, 4), (Config(), PLAIN, 16)),
    ):
        assert compare_batch_sizes(cfg, recipe, world_size) is None, (cfg, world_size)
    for name, processes in (
        *(('cascade_gcvit_b', 8), ('upernet_gcvit_b', 8), ('gcvit_t_in1k', 8)),
        *((f'demo/{name}_digits', 1) for name in ('mask_rcnn_gcvit', 'upernet_gcvit')),
    ):
        cfg = read_config(f'configs/{name}.py')
        assert cfg.auto_scale_lr.base_batch_size == processes * cfg.train_dataloader.batch_size, name
