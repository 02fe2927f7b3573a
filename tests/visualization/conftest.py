"""Provide small models of each task and network, digits data for them, and logs as mmengine writes them."""

import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmgcvit.checkpoints import save_checkpoint
from mmgcvit.inference import Detections, load

from ..inference.conftest import (  # noqa: F401  (fixtures)
    TASKS,
    config_of,
    make_work_dir,
    model,
    models,
    photo,
    picture,
    task,
    work_dir,
)
from ..models.contract.backbones import GCVIT, LSA_ARCH

LSA = {**LSA_ARCH, 'embed_dims': (16, 32, 64, 128), 'depths': (2, 2, 2, 2), 'num_heads': (1, 2, 4, 8)}
# Images of each class in the classification data.
PER_CLASS = 2


@pytest.fixture(scope='session')
def data(digits, tmp_path_factory):
    """Copy the digits data, with two images of each class for classification."""
    folder = tmp_path_factory.mktemp('mistakes') / 'digits'
    for part in ('coco', 'ADEChallengeData2016'):
        shutil.copytree(digits / part, folder / part)
    for of_class in sorted((digits / 'imagenet' / 'val').iterdir()):
        (folder / 'classes' / of_class.name).mkdir(parents=True)
        for image in sorted(of_class.iterdir())[:PER_CLASS]:
            shutil.copy(image, folder / 'classes' / of_class.name)
    return folder


@pytest.fixture(scope='session')
def work_dirs(data, tmp_path_factory):
    """Write a work dir with random weights for each task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DIGITS', str(data))
        return {task: make_work_dir(tmp_path_factory.mktemp('runs') / task, task) for task in TASKS}


def classifier_of(folder, pipeline=None, **backbone):
    """Load a classifier with random weights: GC ViT with its last stage as output, changed by ``backbone`` arguments.

    ``pipeline`` holds the transforms between loading and packing, by default a resize to 64 x 64.
    """
    cfg = config_of('classification')
    cfg.model.backbone = {'type': 'mmgcvit.GCViT', 'arch': GCVIT, 'out_indices': (3,), **backbone}
    cfg.model.head.in_channels = 128
    steps = [{'type': 'Resize', 'scale': (64, 64)}] if pipeline is None else pipeline
    cfg.test_dataloader.dataset.pipeline = [{'type': 'LoadImageFromFile'}, *steps, {'type': 'PackInputs'}]
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(Config({'model': cfg.model}).model)
    save_checkpoint({'state_dict': model.state_dict(), 'meta': {}}, folder / 'epoch_1.pth')
    cfg.dump(folder / 'config.py')
    return load(folder / 'config.py', folder / 'epoch_1.pth', 'cpu')


@pytest.fixture(scope='session')
def lsa(tmp_path_factory):
    """Load an LSA classifier."""
    return classifier_of(tmp_path_factory.mktemp('lsa') / 'lsa', type='mmgcvit.LSA', arch=LSA)


@pytest.fixture(scope='session')
def gcvit(tmp_path_factory):
    """Load a GC ViT classifier with windows of 5 and 3 tokens, which do not divide feature maps of 16, 8, 4 and 2."""
    return classifier_of(tmp_path_factory.mktemp('gcvit') / 'gcvit', window_size=(5, 3, 3, 3))


def hooks_of(loaded):
    kinds = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')
    return sum(len(getattr(module, kind)) for module in loaded.network.modules() for kind in kinds)


def assert_leaves_no_trace(loaded, image, function):
    """Check that a function of a model and an image changes neither hooks nor predictions."""
    before, hooks = loaded(image), hooks_of(loaded)
    function(loaded, image)
    assert hooks_of(loaded) == hooks
    after = loaded(image)
    for name, value in vars(before).items():
        np.testing.assert_array_equal(value, getattr(after, name))


def make_detections(objects, classes):
    """Make detections from objects (box, label, score), by descending score."""
    objects = sorted(objects, key=lambda entry: -entry[2])
    boxes, labels, scores = zip(*objects, strict=True) if objects else ((), (), ())
    boxes, labels = np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64)
    return Detections(boxes, np.array(scores, np.float32), labels, [classes[label] for label in labels])


def iteration(i, loss=1.0, epoch=1, **values):
    """Return what mmengine logs for an iteration."""
    return {'lr': 1e-4, 'data_time': 0.1, 'loss': loss, 'time': 0.2, 'epoch': epoch, 'iter': i, 'step': i, **values}


def validation(step, **scores):
    """Return what mmengine logs for a validation."""
    return {**scores, 'data_time': 0.1, 'time': 0.2, 'step': step}


def write_session(path, time, entries, end='\n'):
    """Write the logs of a work dir as mmengine's local backend does, and return the work dir."""
    folder = path / time / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)) + end)
    return path
