"""Small models of each task and network, and classifiers whose attention or answers are planted by hand."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmgcvit.checkpoints import save_whole
from mmgcvit.inference import load

from ..inference.conftest import config_of, models, photo, picture, work_dirs  # noqa: F401  (fixtures)

TASKS = ('detection', 'segmentation', 'classification')
SMALL = {'embed_dims': 16, 'depths': (2, 2, 2, 2), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 2}
SHIFTS = ((0, 0), (0, 2), (0, -2), (2, 0), (-2, 0))
LSA = {
    'embed_dims': (16, 32, 64, 128),
    'depths': (2, 2, 2, 2),
    'num_heads': (1, 2, 4, 8),
    'kernel_size': 4,
    'stride': 4,
    'padding': 0,
    'shifts': SHIFTS,
    'img_size': 64,
}


@pytest.fixture(params=TASKS)
def task(request):
    return request.param


@pytest.fixture
def model(models, task):  # noqa: F811
    return models[task]


def classifier_of(folder, pipeline=None, changed=None, head_dims=128, **backbone):
    """A classifier on a backbone of these arguments, with random weights.

    Args:
        folder: Where it is written.
        pipeline: Steps between loading and packing; by default a resize to 64 x 64.
        changed: Called with the model before it is saved.
        head_dims: Channels of the backbone's last output.
        backbone: What differs from GC ViT with its last map as output.
    """
    cfg = config_of('classification')
    cfg.model.backbone = {'type': 'mmgcvit.GCViT', 'arch': SMALL, 'out_indices': (3,), **backbone}
    cfg.model.head.in_channels = head_dims
    steps = [{'type': 'Resize', 'scale': (64, 64)}] if pipeline is None else pipeline
    cfg.test_dataloader.dataset.pipeline = [{'type': 'LoadImageFromFile'}, *steps, {'type': 'PackInputs'}]
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(Config({'model': cfg.model}).model)
    if changed:
        with torch.no_grad():
            changed(model)
    save_whole({'state_dict': model.state_dict(), 'meta': {}}, folder / 'epoch_1.pth')
    cfg.dump(folder / 'config.py')
    return load(folder / 'config.py', folder / 'epoch_1.pth', 'cpu')


@pytest.fixture(scope='session')
def lsa(tmp_path_factory):
    """A classifier on LSA."""
    return classifier_of(tmp_path_factory.mktemp('lsa') / 'lsa', type='mmgcvit.LSA', arch=LSA)


@pytest.fixture(scope='session')
def gcvit(tmp_path_factory):
    """A classifier on GC ViT with windows of 5 and 3 tokens, into which maps of 16, 8, 4 and 2 are not cut evenly."""
    return classifier_of(tmp_path_factory.mktemp('gcvit') / 'gcvit', window_size=(5, 3, 3, 3))


def hooks_of(model):
    """How many hooks are in a loaded model."""
    kinds = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')
    return sum(len(getattr(module, kind)) for module in model.network.modules() for kind in kinds)


def spot(side, row, column, size, brightness=255):
    """A dark square picture with a bright square in it."""
    image = np.zeros((side, side, 3), np.uint8)
    image[row : row + size, column : column + size] = brightness
    return image
