"""Ground truth for comparing with predictions has no mask of the size of the image.

Modules: `mmgcvit/fixes/mmdet/annotations.py`, `mmgcvit/ops/rle.py`, `mmgcvit/own/judging/detection.py`,
`mmgcvit/datasets/loading.py`.
"""

from copy import deepcopy

import numpy as np
import pytest
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from mmengine.config import ConfigDict
from pycocotools import mask as coco_mask

from mmgcvit.datasets.loading import make_loading_pipeline
from mmgcvit.fixes.mmdet import LoadEncodedAnnotations
from mmgcvit.host.tasks import DETECTION
from mmgcvit.ops.rle import encode_rle
from mmgcvit.own.judging.detection import DetectionEvaluation
from mmgcvit.own.judging.parts import Part

SIZE = (90, 120)
PIXELS = np.random.default_rng(0).random(SIZE) > 0.7
RLE = encode_rle(PIXELS)
# In the order of ``counts`` of uncompressed RLE: columns first
LENGTHS = np.diff(
    np.flatnonzero(np.diff(PIXELS.T.ravel(), prepend=~PIXELS[0, 0], append=~PIXELS[-1, -1]))
).tolist()
MASKS = {
    'a polygon': [[10, 10, 50, 12, 40.5, 70]],
    'beyond the image': [[-20, -10, 500, 12, 40.5, 700, 8, 8]],
    'two parts': [[10, 10, 30, 10, 30, 30], [60, 60, 100, 60, 100, 80, 60, 80]],
    'RLE': RLE,
    'uncompressed RLE': {'size': [*SIZE], 'counts': LENGTHS if not PIXELS[0, 0] else [0, *LENGTHS]},
    'an empty mask': encode_rle(np.zeros(SIZE, bool)),
    'not valid': [[1, 2, 3, 4]],
    'ignored': [[5, 5, 20, 5, 20, 20]],
}


def make_results():
    instances = [
        {'bbox': [10, 10, 50, 70], 'bbox_label': 0, 'ignore_flag': name == 'ignored', 'mask': mask}
        for name, mask in MASKS.items()
    ]
    image = np.zeros((*SIZE, 3), np.uint8)
    return deepcopy({'ori_shape': SIZE, 'img': image, 'instances': instances})


def load(loading):
    """Return the ground truth of a pipeline, as ``mistakes`` has it."""
    results = loading(with_bbox=True, with_mask=True).transform(make_results())
    sample = PackDetInputs(meta_keys=()).transform(results)['data_samples']
    return DetectionEvaluation().convert_ground_truth(sample, ['class'])


def test_encoded_masks_are_the_pixels_that_mmdet_draws():
    expected = load(LoadAnnotations)
    found = load(LoadEncodedAnnotations)
    assert isinstance(expected.masks, np.ndarray)
    assert not isinstance(found.masks, np.ndarray)
    assert len(found) == 6
    assert np.array_equal(np.asarray(found.masks), expected.masks)
    assert np.array_equal(np.asarray(found.ignored.masks), expected.ignored.masks)
    assert np.array_equal(expected.masks[4], PIXELS)
    part = Part(20, 5, 60)
    image = np.zeros((*SIZE, 3), np.uint8)
    cut = [part.cut(image, objects)[1].masks for objects in (expected, found)]
    assert np.array_equal(*cut)


def test_no_mask_is_drawn(monkeypatch):
    """Drawn masks of 100 objects in 12 megapixels, and copies of them, were gigabytes."""
    monkeypatch.setattr(coco_mask, 'decode', lambda rle: pytest.fail('a mask was drawn'))
    assert len(load(LoadEncodedAnnotations)) == 6


@pytest.mark.parametrize('name', ['LoadAnnotations', 'mmdet.LoadAnnotations'])
def test_the_ground_truth_of_a_dataset_is_loaded_so(name):
    def make(step):
        return make_loading_pipeline(ConfigDict(pipeline=[step]), DETECTION, masks=True)

    *_, step, _ = make({'type': name})
    assert step == {'type': 'mmgcvit.LoadEncodedAnnotations'}
    own = {'type': 'my.LoadAnnotations'}
    assert own in make(own)
