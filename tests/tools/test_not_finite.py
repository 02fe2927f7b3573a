"""Trainings whose numbers burst end in a sentence, and leave no checkpoint with such numbers."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings

from mmgcvit.checkpoints import read_checkpoint

from .commands import CONFIGS, TOOLS, call

pytestmark = pytest.mark.slow


def train_in_vain(digits, work_dir, *options):
    command = [TOOLS / 'train.py', CONFIGS / 'detect.py', '--work-dir', work_dir, '--cfg-options', *options]
    output = call(digits, *command, fails=True)
    assert 'Traceback' not in output
    return output


def test_a_learning_rate_that_is_too_high(digits, tmp_path):
    options = ['optim_wrapper.optimizer.lr=1e6', 'train_cfg.max_epochs=8', 'train_cfg.val_interval=8']
    output = train_in_vain(digits, tmp_path, *options)
    assert 'not finite in 3 steps in a row' in output
    assert 'Lower the learning rate (1e+06)' in output
    for path in tmp_path.glob('*.pth'):
        content = read_checkpoint(str(path))
        assert all(torch.isfinite(x).all() for part in ('state_dict', 'ema_state_dict') for x in content[part].values())


def test_a_weight_that_is_loaded(digits, tmp_path):
    """Into a head: those of the backbone are looked at before training. The first save comes after two steps."""
    cfg = Config.fromfile(CONFIGS / 'detect.py')
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope('mmdet')
    state = MODELS.build(cfg.model).state_dict()
    state['roi_head.bbox_head.fc_cls.bias'][0] = float('nan')
    torch.save({'state_dict': state}, tmp_path / 'loaded.pth')
    output = train_in_vain(digits, tmp_path / 'work', f'load_from={tmp_path / "loaded.pth"}')
    assert 'Iteration 2: the loss is not finite, and the step is left out (2 in a row' in output
    assert 'state_dict.roi_head.bbox_head.fc_cls.bias' in output
    assert not list((tmp_path / 'work').glob('*.pth'))
