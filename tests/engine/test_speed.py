"""The compiled backbone keeps the keys of checkpoints; the TF32 switch holds in all loops and ends with the run."""

from copy import deepcopy
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from packaging.version import Version
from torch import nn
from torch.backends import cuda, cudnn

from mmgcvit import GCViT
from mmgcvit.registry import HOOKS

from ..conftest import ROOT
from ..models.contract.backbones import GCVIT
from .drawing import make_config, make_evaluation


@pytest.mark.skipif(Version(torch.__version__) < Version('2.4'), reason='the backbone compiles from torch 2.4 on')
def test_the_backbone_is_one_graph_and_the_keys_stay():
    model = nn.Module()
    model.backbone, model.head = GCViT(GCVIT), nn.Conv2d(64, 1, 1)
    model.eval()
    images, keys, graphs = torch.rand(1, 3, 64, 64), list(model.state_dict()), []
    expected = model.backbone(images)

    def record_graph(graph, _):
        graphs.append(graph)
        return graph

    HOOKS.build({'type': 'CompileBackboneHook', 'backend': record_graph}).before_train(SimpleNamespace(model=model))
    for output, value in zip(model.backbone(images), expected, strict=True):
        torch.testing.assert_close(output, value, rtol=1e-3, atol=1e-5)  # other kernels
    assert len(graphs) == 1
    assert list(model.state_dict()) == keys
    deepcopy(model)  # as EMAHook does


def get_tf32():
    return cuda.matmul.allow_tf32, cudnn.allow_tf32


@pytest.fixture(params=[(False, True), (True, False)])
def previous(request):
    """Set torch's settings before a run to the default, and to its opposite."""
    before = get_tf32()
    cuda.matmul.allow_tf32, cudnn.allow_tf32 = request.param
    yield request.param
    cuda.matmul.allow_tf32, cudnn.allow_tf32 = before


def test_the_switch_sets_tf32_in_all_loops_and_the_previous_settings_are_restored(previous, tmp_path):
    for enabled in (True, False, None):
        hooks = {}
        if enabled is not None:
            cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'runtime.py')
            cfg.merge_from_dict({'default_hooks.tf32.enabled': enabled})
            hooks = {'tf32': cfg.default_hooks.tf32.to_dict()}
        loops = make_evaluation() | make_evaluation(loop='test')
        loop, work_dir = {'by_epoch': True, 'max_epochs': 1}, tmp_path / str(enabled)
        runner = Runner.from_cfg(make_config(work_dir, loop, images=6, **loops, default_hooks=hooks))
        recorded, steps = [], ('before_train_iter', 'before_val_iter', 'before_test_iter')
        record = dict.fromkeys(steps, lambda *args, recorded=recorded, **kwargs: recorded.append(get_tf32()))
        runner.register_hook(mock.Mock(spec=Hook, priority='LOWEST', **record))
        for run in (runner.train, runner.test):
            run()
            assert get_tf32() == previous
        assert recorded == [previous if enabled is None else (enabled, enabled)] * 6
