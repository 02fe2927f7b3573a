"""Samples for training steps, made up and put through the config's own train pipeline: no data set is needed."""

from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.runner import set_random_seed

from ...datasets.checks import leaf_datasets
from ...datasets.checks.loading import loads
from ...errors import first_line
from ...inference import UserError

# Of each image; COCO has seven on average.
NUM_OBJECTS = 7
# Pipelines draw sizes: the largest of so many is taken, which the memory must suffice for.
DRAWS = 20


def training_samples(cfg: Config, scope: str, image: np.ndarray, batch_size: int) -> list[dict[str, Any]]:
    """A batch of one size, packed as the host's model takes it.

    Sets Python's, NumPy's and torch's random numbers.

    Args:
        cfg: A whole config.
        scope: Of its host.
        image: (height, width, 3), blue, green, red.
        batch_size: So many samples.

    Raises:
        UserError: The config's train pipeline is none that works on one image at a time.
    """
    dataset = next(leaf_datasets((cfg.get('train_dataloader') or {}).get('dataset')), None)
    steps = [step for step in (dataset or {}).get('pipeline') or [] if not loads(step)]
    if not steps:
        raise UserError(
            'the config has no train_dataloader whose pipeline works on one image at a time: training steps need one, '
            'and mosaics and the like are not timed'
        )
    set_random_seed(0)
    try:
        pipeline = Compose(steps)
        drawn = [pipeline(made(scope, image)) for _ in range(DRAWS)]
    # What transforms raise where they need several images, or more than what is made up here.
    except Exception as error:
        raise UserError(f'the train pipeline does not work on one made-up image: {first_line(error)}') from None
    drawn = [sample for sample in drawn if sample is not None and 'inputs' in sample]
    if not drawn:
        raise UserError('the train pipeline packs no sample of a made-up image')
    return [max(drawn, key=lambda sample: sample['inputs'].numel())] * batch_size


def made(scope: str, image: np.ndarray) -> dict[str, Any]:
    """What a pipeline has after loading: an image, and something that is true of it."""
    height, width = image.shape[:2]
    results = {'img': image.copy(), 'img_shape': (height, width), 'ori_shape': (height, width), 'img_path': ''}
    if scope == 'mmpretrain':
        return {**results, 'gt_label': 0}
    if scope == 'mmseg':
        labels = np.zeros((height, width), np.uint8)
        labels[height // 2 :] = 1
        return {**results, 'gt_seg_map': labels, 'seg_fields': ['gt_seg_map'], 'reduce_zero_label': False}
    return {**results, **made_objects(height, width), 'img_id': 0, 'height': height, 'width': width}


def made_objects(height: int, width: int) -> dict[str, Any]:
    """Boxes and masks of a quarter of each side, along the diagonal."""
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    shares = np.linspace(0, 0.75, NUM_OBJECTS)
    sides = np.array([width, height, width, height], np.float32)
    boxes = np.stack([shares, shares, shares + 0.25, shares + 0.25], axis=1).astype(np.float32) * sides
    masks = np.zeros((NUM_OBJECTS, height, width), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = 1
    return {
        'gt_bboxes': HorizontalBoxes(boxes),
        'gt_bboxes_labels': np.zeros(NUM_OBJECTS, np.int64),
        'gt_ignore_flags': np.zeros(NUM_OBJECTS, bool),
        'gt_masks': BitmapMasks(masks, height, width),
    }
