"""Masks of an ONNX file are pasted only where their boxes are, as if into the whole image. Damaged
files are refused, and faults of the program are not taken for them.
"""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.export import onnx_predictor
from mmgcvit.export.onnx_predictor import collect_masks, paste_masks, read_image

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
    masks = np.random.default_rng(0).random((3, 50, 60)) > 0.5
    masks[0, :20] = masks[1] = False
    array = collect_masks(iter(masks), 3, (50, 60))
    assert isinstance(array, np.ndarray)
    monkeypatch.setattr(onnx_predictor, 'MAX_MASK_BYTES', 0)
    crops = collect_masks(iter(masks), 3, (50, 60))
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

    monkeypatch.setattr(onnx_predictor, 'check_decoders_agree', fail)
    with pytest.raises(KeyError, match='a fault'):
        read_image(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r'a\.png cannot be read: '):
        read_image(path)


def test_detections_have_a_length():
    boxes = np.zeros((3, 4), np.float32)
    found = onnx_predictor.Detections(boxes, boxes[:, 0], np.zeros(3, np.int64), ['a'] * 3)
    assert len(found) == 3
