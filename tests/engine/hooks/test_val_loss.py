"""The validation loss does not depend on how the images are distributed to ranks."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from mmengine.runner import Runner

from mmgcvit.config import enter_scope
from mmgcvit.engine.hooks.val_loss import ValLossHook

from ...fork_server import run_on_ranks
from ...tools.commands import CONFIGS, DEMO, TOOLS, call

# The number of images, and whether each rank gets as many.
CASES = [(11, False), (11, True), (1, False)]


@torch.no_grad()
def compute_val_losses(config, data):
    """Return the loss of each case by a small model with random weights."""
    torch.set_num_threads(1)
    cfg = Config.fromfile(config)
    enter_scope(cfg)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    loader = cfg.val_dataloader
    losses = []
    loader.update(num_workers=0, persistent_workers=False)
    for num_images, round_up in CASES:
        loader.dataset.update(data_root=f'{data}/coco/', indices=num_images)
        loader.sampler = {'type': 'DefaultSampler', 'shuffle': False, 'round_up': round_up}
        runner = SimpleNamespace(
            model=model,
            val_dataloader=Runner.build_dataloader(loader),
            message_hub=MessageHub.get_instance('val_loss'),
        )
        hook = ValLossHook()
        scores = {'mAP': 1.0}
        hook.before_val_epoch(runner)
        for batch in runner.val_dataloader:
            hook.after_val_iter(runner, data_batch=batch)
        hook.after_val_epoch(runner, scores)
        losses.append(scores['val_loss'])
        # mmengine logs the mean of this history.
        assert runner.message_hub.get_scalar('val/val_loss').mean(50) == losses[-1]
    return losses


@pytest.mark.parametrize(
    'config',
    [
        pytest.param(DEMO / 'rtmdet_ins_gcvit_digits.py', marks=pytest.mark.long),
        pytest.param(CONFIGS / 'dino.py', marks=pytest.mark.long),
        DEMO / 'mask2former_gcvit_digits.py',
    ],
)
def test_ranks_with_different_numbers_of_images_have_the_loss_of_one_rank(config, tmp_path):
    """Losses of these detectors wait for other ranks. A rank may have no image, or repeat one."""
    call('', TOOLS / 'make_digits.py', tmp_path, '--train', 1, '--val', 11, '--size', 128)
    arguments = (str(config), str(tmp_path))
    expected = compute_val_losses(*arguments)
    assert min(expected) > 0
    for losses in run_on_ranks(compute_val_losses, [arguments] * 2):
        assert losses == pytest.approx(expected, rel=1e-6)
