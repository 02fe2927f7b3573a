"""Provide work dirs of small models with random weights, and images to predict."""

import cv2
import numpy as np
import supervision as sv
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from ..tools.commands import CONFIGS

# The config of each task, and the class names in its checkpoints.
TASKS = {'detection': 'detect', 'segmentation': 'segment', 'classification': 'classify'}
CLASSES = {
    'detection': list('0123456789'),
    'segmentation': ['background', *'0123456789'],
    'classification': [f'digit {number}' for number in range(10)],
}


def config_of(task):
    return Config.fromfile(CONFIGS / f'{TASKS[task]}.py')


def make_work_dir(folder, task, cfg=None):
    """Write a work dir with a config, by default the task's, and the checkpoint epoch_1.pth."""
    folder.mkdir(parents=True, exist_ok=True)
    cfg = cfg or config_of(task)
    cfg.dump(folder / f'{TASKS[task]}.py')
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    if hasattr(model, 'level_embed'):
        torch.nn.init.zeros_(model.level_embed)  # uninitialised memory in mmdet's DINO
    palette = [(20 * number, 99, 0) for number in range(len(CLASSES[task]))]
    content = {
        'state_dict': model.state_dict(),
        'optimizer': torch.optim.SGD(model.parameters(), 0.1).state_dict(),
        'meta': {'dataset_meta': {'classes': CLASSES[task], 'palette': palette}},
    }
    torch.save(content, folder / 'epoch_1.pth')
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    return folder


def picture_of(height, width, seed=0):
    """Return an image (height, width, 3) of smooth random colours, which lossy compression hardly
    changes.
    """
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_video(path, frames=5, codec='MJPG', size=(96, 64)):
    """Write a video whose frames have different colours. ``size`` is (width, height)."""
    width, height = size
    with sv.VideoSink(str(path), sv.VideoInfo(width, height, 10), codec) as sink:
        for number in range(frames):
            sink.write_frame(picture_of(height, width, seed=number))


def assert_same(first, second, tolerance=1e-4):
    """Check that two predictions are equal within a tolerance.

    Few pixels at the edges of masks may differ.
    """
    assert type(first) is type(second)
    for name, value in vars(first).items():
        other = getattr(second, name)
        if name == 'masks' and value is not None:
            assert (value != other).mean() <= tolerance
        elif isinstance(value, np.ndarray | float):
            np.testing.assert_allclose(value, other, atol=tolerance, rtol=tolerance, err_msg=name)
        else:
            assert value == other, name
