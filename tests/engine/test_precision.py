"""Precision that fits the machine, TF32 by one switch, and a word where the batch is not the recipe's."""

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
from .drawing import config, validating


def test_training_is_mixed_in_the_gpus_best_type_and_plain_without_one(monkeypatch):
    config = {'type': 'mmgcvit.AutoPrecisionOptimWrapper', 'loss_scale': 'dynamic', 'accumulative_counts': 2}
    for capability, named, dtype in (
        *((None, None, None), ((8, 0), None, torch.bfloat16)),
        *(((7, 5), None, torch.float16), ((8, 0), 'float16', torch.float16)),
    ):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda capability=capability: capability is not None)
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda capability=capability: capability)
        monkeypatch.setattr('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available', lambda: True)
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
        wrapper = OPTIM_WRAPPERS.build({**config, 'optimizer': optimizer, 'dtype': named})
        assert type(wrapper) is (AmpOptimWrapper if dtype else OptimWrapper)
        assert getattr(wrapper, 'cast_dtype', None) == dtype
        assert wrapper._accumulative_counts == 2
        assert not dtype or wrapper.loss_scaler.is_enabled() == (dtype is torch.float16)


class NoteHook(Hook):
    """Keeps what torch's settings are in each iteration."""

    def __init__(self):
        self.noted = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.noted.append(settings())

    before_val_iter = before_test_iter = before_train_iter


def settings():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


class TestTF32:
    @pytest.fixture(params=[(False, True), (True, False)])
    def found(self, request):
        """torch's settings as a run finds them: its own, and the opposite."""
        before = settings()
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = request.param
        yield request.param
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before

    def run(self, folder, hooks):
        """Train, validate and test two steps each with some default hooks: the settings in all, and between."""
        loops = validating() | validating(loop='test')
        loop = {'by_epoch': True, 'max_epochs': 1}
        runner = Runner.from_cfg(config(folder, loop, images=6, **loops, default_hooks=hooks))
        runner.register_hook(hook := NoteHook())
        runner.train()
        between = settings()
        runner.test()
        return hook.noted, between

    def test_training_validation_and_tests_compute_as_the_switch_says_and_torchs_settings_stay(self, tmp_path, found):
        for enabled in (True, False):
            cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'tf32.py')
            cfg.merge_from_dict({'default_hooks.tf32.enabled': enabled})
            noted, between = self.run(tmp_path / str(enabled), cfg.default_hooks.to_dict())
            assert noted == [(enabled, enabled)] * 6
            assert between == settings() == found
        assert self.run(tmp_path / 'without', {})[0] == [found] * 6


def of_batch(base=16, images=2, counts=1, enable=False):
    return Config(
        {
            'auto_scale_lr': {'enable': enable, 'base_batch_size': base},
            'train_dataloader': {'batch_size': images},
            'optim_wrapper': {'accumulative_counts': counts},
        }
    )


PLAIN, SUM = of_batch(), of_batch(base=512, images=64, counts=2)
# Who halves the base for two accumulated batches has the recipe's batch, as docs/large_models.md says.
HALVED = of_batch(base=8, images=1, counts=2)


def test_another_batch_than_the_recipes_is_told_in_one_line_with_both_totals():
    """A recipe that accumulates is made for the sum."""
    for cfg, recipe, processes, meant, total in (
        *((PLAIN, PLAIN, 16, 16, 32), (of_batch(counts=4), PLAIN, 8, 16, 64)),
        *((SUM, SUM, 4, 1024, 512), (HALVED, PLAIN, 4, 16, 8)),
    ):
        warning = compare_batch_sizes(cfg, recipe, processes)
        assert f'batch size of {meant}; this run has {total}: {processes} processes x' in warning


def test_the_recipes_batch_however_it_is_made_up_and_scaling_are_no_news():
    for cfg, recipe, processes in (
        *((PLAIN, PLAIN, 8), (of_batch(images=1, counts=2), PLAIN, 8), (HALVED, PLAIN, 8)),
        *((of_batch(enable=True), PLAIN, 3), (of_batch(base=512, images=64, counts=4), SUM, 4), (Config(), PLAIN, 16)),
    ):
        assert compare_batch_sizes(cfg, recipe, processes) is None, (cfg, processes)
    for name, processes in (
        *(('cascade_gcvit_b', 8), ('upernet_gcvit_b', 8), ('gcvit_t_in1k', 8)),
        *((f'demo/{name}_digits', 1) for name in ('mask_rcnn_gcvit', 'upernet_gcvit')),
    ):
        cfg = read_config(f'configs/{name}.py')
        assert cfg.auto_scale_lr.base_batch_size == processes * cfg.train_dataloader.batch_size, name
