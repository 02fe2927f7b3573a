"""The validation loss does not depend on how the images are distributed to ranks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from mmgcvit.engine.hooks.val_loss import ValLossHook, scale_objects
from mmgcvit.host.config import enter_scope

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


@pytest.mark.slow
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


def test_objects_and_those_that_are_ignored_are_scaled_to_the_input():
    """Boxes are x1, y1, x2, y2. The image is 10 x 8 px, and padded to 24 x 6 px."""
    sizes = {'ori_shape': (8, 10), 'scale_factor': (2.0, 0.5), 'batch_input_shape': (6, 24)}
    sample = DetDataSample(metainfo=sizes)
    names = ('gt_instances', 'ignored_instances')
    for name in names:
        objects = InstanceData(bboxes=torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
        objects.masks = BitmapMasks(np.ones((1, 8, 10), np.uint8), 8, 10)
        setattr(sample, name, objects)
    scale_objects([sample])
    for name in names:
        objects = sample.get(name)
        assert objects.bboxes.tolist() == [[2.0, 1.0, 6.0, 2.0]]
        assert objects.masks.masks.shape == (1, 6, 24)
        assert objects.masks.masks.sum() == 4 * 20
