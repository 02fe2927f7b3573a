"""Provide small models of each task and network."""

import pytest

from mmgcvit.predict.load import load

from ...models.contract.backbones import GCVIT, LSA_ARCH
from ...predict.conftest import assert_same, config_of, make_work_dir

LSA = {**LSA_ARCH, 'embed_dims': (16, 32, 64, 128), 'depths': (2,) * 4, 'num_heads': (1, 2, 4, 8)}
RESIZE = {'type': 'Resize', 'scale': (64, 64)}


def classifier_of(folder, pipeline=(RESIZE,), **backbone):
    """Load a classifier with random weights: GC ViT with its last stage as output, changed by
    ``backbone`` arguments.

    ``pipeline`` holds the transforms between loading and packing, by default a resize to 64 x 64.
    """
    cfg = config_of('classification')
    cfg.model.backbone = {'type': 'mmgcvit.GCViT', 'arch': GCVIT, 'out_indices': (3,), **backbone}
    cfg.model.head.in_channels = 128
    load_image = {'type': 'LoadImageFromFile'}
    pack = {'type': 'PackInputs'}
    cfg.test_dataloader.dataset.pipeline = [load_image, *pipeline, pack]
    return load(make_work_dir(folder, 'classification', cfg), device='cpu')


# Backbones that differ from classifier_of's default.
NETWORKS = {
    # Windows of 5 and 3 tokens do not divide feature maps of 16, 8, 4 and 2.
    'gcvit': {'window_size': (5, 3, 3, 3)},
    'lsa': {'type': 'mmgcvit.LSA', 'arch': LSA},
    'windowed': {'type': 'mmgcvit.LSA', 'arch': LSA, 'window_size': 5},
    'unshifted': {'type': 'mmgcvit.LSA', 'arch': {**LSA, 'shifts': None}},
}


@pytest.fixture(scope='session')
def networks(tmp_path_factory):
    """Load the classifiers of :data:`NETWORKS`."""
    folder = tmp_path_factory.mktemp('networks')
    return {name: classifier_of(folder / name, **NETWORKS[name]) for name in NETWORKS}


def hooks_of(loaded):
    kinds = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')
    return sum(len(getattr(module, kind)) for module in loaded.network.modules() for kind in kinds)


def assert_leaves_no_trace(loaded, image, function):
    """Check that a function of a model and an image changes neither hooks nor predictions."""
    before = loaded(image)
    hooks = hooks_of(loaded)
    function(loaded, image)
    assert hooks_of(loaded) == hooks
    assert_same(loaded(image), before, tolerance=0)
