"""OpenCV's pixels of a file are compared with Pillow's, and only where OpenCV loads it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from mmgcvit.datasets.decoders import is_same
from mmgcvit.datasets.decoding import DecodingSettings, load_image
from mmgcvit.datasets.opening import ImageError

HEIGHT = 24
WIDTH = 32


@given(
    pixels=arrays(np.uint8, (4, 6, 3)),
    changes=arrays(np.int16, (4, 6, 3), elements=st.integers(-12, 12)),
    are_lossy=st.booleans(),
)
def test_pixels_are_the_same_but_for_rounding(pixels, changes, are_lossy):
    """By 2 levels of 255 at most or, of a file with loss, by 4 on average, also if more at one
    place.
    """
    others = np.clip(pixels + changes, 0, 255)
    differences = abs(others - pixels.astype(int))
    expected = differences.mean() <= 4 if are_lossy else differences.max() <= 2
    assert is_same(pixels, others.astype(np.uint8), are_lossy) == expected
    assert is_same(others.astype(np.uint8), pixels, are_lossy) == expected
    assert not is_same(pixels, others[:-1].astype(np.uint8), are_lossy)


@pytest.mark.parametrize('are_lossy', [False, True])
@pytest.mark.parametrize('difference', range(7))
def test_pixels_that_all_differ_by_as_much_are_the_same_up_to_a_limit(difference, are_lossy):
    dark = np.full((2, 2, 3), 10, np.uint8)
    assert is_same(dark, dark + difference, are_lossy) == (difference <= (4 if are_lossy else 2))


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_a_file_that_only_opencv_reads_otherwise_is_refused_only_where_opencv_loads_it(
    backend, tmp_path
):
    """Here JPEG 2000 with YCbCr, of which OpenCV 4.12 takes the brightness for red."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([x * 8, y * 10, 255 - x * 8], axis=2).astype(np.uint8)
    path = tmp_path / 'a.jp2'
    Image.fromarray(pixels).convert('YCbCr').save(path)
    with Image.open(path) as image:
        expected = np.asarray(image.convert('RGB'))[..., ::-1].astype(int)
    settings = DecodingSettings(backend=backend)
    try:
        loaded, _ = load_image(path, settings)
    except ImageError:
        loaded = None
    if loaded is None:
        assert backend == 'cv2'
    else:
        assert abs(loaded - expected).mean() <= 4
