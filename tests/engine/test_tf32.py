"""One switch allows or forbids TF32 for as long as a runner works, and leaves torch as it was."""

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner

from ..conftest import ROOT


def settings():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.fixture(params=[(False, True), (True, False)])
def found(request):
    """torch's settings as a run finds them: its own, and the opposite."""
    before = settings()
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = request.param
    yield request.param
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


class Watched(torch.nn.Module):
    """A model that notes the settings under which it computes."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.noted = []

    def forward(self, x, mode='tensor'):
        self.noted.append(settings())
        return {'loss': self.layer(x).sum()} if mode == 'loss' else [self.layer(x)]

    def train_step(self, data, optim_wrapper):
        optim_wrapper.update_params(self(data, mode='loss')['loss'])
        return {}

    def val_step(self, data):
        return self(data)

    test_step = val_step


def run(tmp_path, hooks):
    """Train, validate and test one step, with a config's default hooks."""
    data = {'dataset': [torch.ones(1)], 'batch_size': 1, 'sampler': {'type': 'DefaultSampler', 'shuffle': False}}
    data['collate_fn'] = torch.stack
    runner = Runner(
        model=Watched(),
        work_dir=str(tmp_path),
        train_dataloader=data,
        val_dataloader=data,
        test_dataloader=data,
        train_cfg={'by_epoch': True, 'max_epochs': 1},
        val_cfg={},
        test_cfg={},
        val_evaluator=Evaluator([]),
        test_evaluator=Evaluator([]),
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        default_hooks={**hooks, 'checkpoint': {'type': 'CheckpointHook', 'interval': -1, 'save_last': False}},
        experiment_name=tmp_path.name,
        log_level='ERROR',
    )
    runner.train()
    trained = settings()
    runner.test()
    return runner.model.noted, trained


@pytest.mark.parametrize('enabled', [True, False])
def test_training_validation_and_tests_compute_as_the_switch_says(tmp_path, found, enabled):
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'tf32.py')
    cfg.merge_from_dict({'default_hooks.tf32.enabled': enabled})
    noted, trained = run(tmp_path, cfg.default_hooks.to_dict())
    assert noted == [(enabled, enabled)] * 3
    assert trained == settings() == found


def test_without_the_switch_torchs_own_settings_hold(tmp_path, found):
    assert run(tmp_path, {})[0] == [found] * 3


@pytest.mark.skipif(not hasattr(torch.backends.mkldnn, 'matmul'), reason='torch has no such setting for CPUs yet')
def test_the_precision_of_cpus_stays():
    """``torch.set_float32_matmul_precision('high')`` would change it."""
    hook = HOOKS.build({'type': 'mmgcvit.TF32Hook', 'enabled': True})
    before = torch.backends.mkldnn.matmul.fp32_precision
    hook.before_run(None)
    during = torch.backends.mkldnn.matmul.fp32_precision
    hook.after_run(None)
    assert during == before


@pytest.mark.parametrize('enabled', ['False', 0, None])
def test_what_is_no_bool_is_refused(enabled):
    with pytest.raises(TypeError, match='expected True or False'):
        HOOKS.build({'type': 'mmgcvit.TF32Hook', 'enabled': enabled})
