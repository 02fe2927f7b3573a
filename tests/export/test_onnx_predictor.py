"""Masks of an ONNX file are pasted only where their boxes are, as if into the whole image. Damaged
files are refused, and faults of the program are not taken for them. Images are resized and cropped
as the pipelines of training do it.
"""

import json
import warnings
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmcv import rescale_size
from mmcv.transforms import CenterCrop

from mmgcvit.datasets import decoding
from mmgcvit.export import masks, onnx_predictor
from mmgcvit.export.masks import collect_masks, paste_masks
from mmgcvit.export.onnx_predictor import OnnxPredictor, read_image
from mmgcvit.export.output_readers import Detections, ObjectReader

from ..conftest import picture_of


def paste_everywhere(probabilities, box, shape):
    """Resize probabilities (h, w) bilinearly to the box, with 0 around them, for each pixel."""
    x1, y1, x2, y2 = box
    values = probabilities
    for side, begin, end in ((shape[0], y1, y2), (shape[1], x1, x2)):
        centres = np.arange(side) + 0.5
        positions = (centres - begin) / max(end - begin, 1e-6) * len(values) - 0.5
        distances = np.abs(positions[:, None] - np.arange(len(values)))
        values = (np.maximum(0, 1 - distances) @ values).T
    return values


@given(
    x=st.floats(-30, 70),
    y=st.floats(-30, 70),
    width=st.floats(0, 80),
    height=st.floats(0, 80),
    seed=st.integers(0, 99),
)
def test_the_part_of_a_mask_is_that_of_the_whole_image(x, y, width, height, seed):
    probabilities = np.random.default_rng(seed).random((1, 7, 7), np.float32)
    boxes = np.array([[x, y, x + width, y + height]], np.float32)
    (mask,) = paste_masks(probabilities, boxes, threshold=0.1, ori_shape=(50, 60))
    expected = paste_everywhere(probabilities[0].astype(float), boxes[0].astype(float), (50, 60))
    # At a pixel whose probability is the threshold, rounding decides.
    is_clear = np.abs(expected - 0.1) > 1e-3
    np.testing.assert_array_equal(mask[is_clear], (expected >= 0.1)[is_clear])


def test_masks_that_would_need_much_memory_are_crops(monkeypatch):
    """Also a mask without pixels."""
    made = np.random.default_rng(0).random((3, 50, 60)) > 0.5
    made[0, :20] = made[1] = False
    array = collect_masks(iter(made), 3, (50, 60))
    assert isinstance(array, np.ndarray)
    monkeypatch.setattr(masks, 'MAX_MASK_BYTES', 0)
    crops = collect_masks(iter(made), 3, (50, 60))
    assert not isinstance(crops, np.ndarray)
    np.testing.assert_array_equal(np.stack([*crops]), array)
    np.testing.assert_array_equal(np.stack([*crops[np.array([2, 0])]]), array[[2, 0]])
    assert collect_masks(iter(()), 0, (50, 60)).shape == (0, 50, 60)


def test_a_damaged_file_is_refused_and_a_fault_of_the_program_is_raised(tmp_path, monkeypatch):
    path = tmp_path / 'a.png'
    with pytest.raises(ValueError, match=r'a\.png cannot be read: .*No such file'):
        read_image(path)
    cv2.imwrite(str(path), picture_of(40, 50))
    assert read_image(path).shape == (40, 50, 3)

    def fail(*_):
        raise KeyError('a fault')

    monkeypatch.setattr(decoding, 'check_decoders_agree', fail)
    with pytest.raises(KeyError, match='a fault'):
        read_image(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r'a\.png cannot be read: '):
        read_image(path)


def test_detections_have_a_length():
    boxes = np.zeros((3, 4), np.float32)
    found = Detections(boxes, boxes[:, 0], np.zeros(3, np.int64), ['a'] * 3)
    assert len(found) == 3


SIDES = st.integers(8, 400)
PLAIN = {
    'backend': 'cv2',
    'interpolation': 'nearest',
    'edge': '',
    'keep_ratio': 'false',
    'crop': 'null',
    'channel_order': 'bgr',
    'mean': '[0, 0, 0]',
    'std': '[1, 1, 1]',
}


def choose_size(height, width, **metadata):
    """Return the (width, height) to which an image is resized."""
    predictor = SimpleNamespace(metadata=PLAIN | metadata)
    return OnnxPredictor.choose_size(predictor, (height, width))


@given(SIDES, SIDES, st.tuples(st.integers(32, 900), st.integers(32, 1400)))
def test_an_image_is_resized_to_mmcvs_size(height, width, scale):
    found = choose_size(height, width, scale=json.dumps(scale), keep_ratio='true')
    assert found == rescale_size((width, height), scale)
    assert choose_size(height, width, scale=json.dumps(scale)) == scale


@given(SIDES, SIDES, st.integers(8, 64), st.sampled_from(['width', 'height', 'short', 'long']))
def test_an_image_is_resized_to_the_size_of_mmpretrains_edge(height, width, scale, edge):
    from mmpretrain.datasets import ResizeEdge

    image = np.zeros((height, width, 3), np.uint8)
    longest = {'width': width, 'height': height, 'short': min(image.shape[:2])}
    if scale * min(height, width) < longest.get(edge, max(height, width)):
        return  # nothing would be left of the other side
    resized = ResizeEdge(scale, edge).transform({'img': image})['img']
    assert choose_size(height, width, scale=f'[{scale}]', edge=edge) == resized.shape[1::-1]


@given(SIDES, SIDES, st.floats(0.1, 1), st.floats(0.1, 1))
def test_the_centre_of_an_image_is_that_of_mmcvs_crop(height, width, x_part, y_part):
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width) % 251
    image[..., 1] = np.arange(height)[:, None] % 251
    crop = max(1, round(x_part * width)), max(1, round(y_part * height))
    predictor = SimpleNamespace(
        metadata=PLAIN | {'crop': json.dumps(crop)}, choose_size=lambda _: (width, height)
    )
    (found,) = OnnxPredictor.preprocess(predictor, image)
    expected = CenterCrop(crop).transform({'img': image})['img']
    np.testing.assert_array_equal(found.transpose(1, 2, 0), expected)


@pytest.fixture
def make_predictor(monkeypatch):
    """Return a function that makes a predictor of a file with some metadata."""

    def make(score_thr=None, tiles=None, **metadata):
        texts = {'task': 'detection', 'classes': '["cat", "dog"]', 'score_thr': '0.5', **metadata}
        meta = SimpleNamespace(custom_metadata_map=texts)
        session = SimpleNamespace(get_modelmeta=lambda: meta)
        monkeypatch.setattr(
            onnx_predictor.onnxruntime, 'InferenceSession', lambda *_, **__: session
        )
        return OnnxPredictor('x.onnx', score_thr, tiles=tiles)

    return make


@pytest.mark.parametrize(
    ('score_thr', 'kept'),
    [(None, [0, 2]), ({'cat': 0.4}, [0, 1, 2]), (0.35, [0, 1, 2, 3]), (0.5, [0])],
)
def test_objects_are_kept_by_the_threshold_of_their_class(score_thr, kept, make_predictor):
    """A number is for all classes, whatever the file says; a mapping for those that it names."""
    predictor = make_predictor(score_thr, class_score_thr='{"dog": 0.4}')
    scores = np.array([0.9, 0.45, 0.4, 0.38], np.float32)
    labels = np.array([0, 0, 1, 1])
    assert np.flatnonzero(predictor.reader.is_kept(scores, labels)).tolist() == kept


@pytest.mark.parametrize(
    ('tiles', 'size', 'is_cut'),
    [(32, (32, 32), False), (32, (33, 8), True), (32, (8, 33), True), (0, (90, 90), False)],
)
def test_an_image_with_a_longer_side_than_tiles_is_cut(tiles, size, is_cut, make_predictor):
    predictor = make_predictor(tiles=tiles)
    predictor.run = lambda image: ({}, image.shape[:2])
    predictor.reader = SimpleNamespace(
        read=lambda *_: 'whole', predict_in_tiles=lambda *_: 'in tiles'
    )
    assert predictor(np.zeros((*size, 3), np.uint8)) == ('in tiles' if is_cut else 'whole')


@pytest.mark.parametrize(('number', 'is_warned'), [(2, False), (3, True), (4, True)])
def test_as_many_objects_as_the_model_returns_are_warned_of(number, is_warned):
    outputs = {
        'boxes': np.zeros((number, 4), np.float32),
        'scores': np.ones(number, np.float32),
        'labels': np.zeros(number, np.int64),
    }
    reader = ObjectReader({'limit': '3'}, ['cat'], np.array([0.5], np.float32))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        reader.read(outputs, (9, 9), (9, 9))
    assert ['returns at most, 3' in str(each.message) for each in caught] == [True] * is_warned


def test_an_object_of_a_quarter_of_a_tile_is_whole_in_one():
    """Neighbouring tiles overlap by as much."""
    tiles = []

    def run(tile):
        tiles.append(tuple(tile[0, 0, :2].tolist()))
        empty = {'boxes': np.zeros((0, 4), np.float32), 'scores': np.zeros(0, np.float32)}
        return empty | {'labels': np.zeros(0, np.int64)}, tile.shape[:2]

    image = np.zeros((150, 250, 3), np.uint8)
    image[..., 0] = np.arange(250)
    image[..., 1] = np.arange(150)[:, None]
    ObjectReader({}, ['cat'], np.array([0.5], np.float32)).predict_in_tiles(run, image, 64)
    for axis, length in enumerate((250, 150)):
        starts = sorted({place[axis] for place in tiles})
        assert starts[0] == 0
        assert starts[-1] + 64 >= length
        assert max(np.diff(starts)) <= 48
