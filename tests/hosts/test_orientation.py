"""Images are taken in the orientation that their annotations are in."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmgcvit.hosts.mmdet import MatchAnnotatedSize

WIDTH, HEIGHT = 60, 40
TURNED = [6, 8, 5, 7]


def load(folder, orientation, annotated, size=(WIDTH, HEIGHT)):
    """An image that is stored with a bright left half, as the pipeline has it; ``annotated`` is (width, height)."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder / 'x.png'
    Image.fromarray(pixels).save(path, exif=exif)
    results = {'img_path': str(path)}
    if annotated:
        results |= dict(zip(('width', 'height'), annotated, strict=True))
    return MatchAnnotatedSize().transform(LoadImageFromFile().transform(results)), pixels


@pytest.mark.parametrize('orientation', TURNED)
def test_annotated_as_stored_it_is_not_turned(tmp_path, orientation):
    results, pixels = load(tmp_path, orientation, (WIDTH, HEIGHT))
    assert np.array_equal(results['img'], pixels)
    assert results['img_shape'] == results['ori_shape'] == (HEIGHT, WIDTH)


@pytest.mark.parametrize('orientation', TURNED)
@pytest.mark.parametrize('annotated', [(HEIGHT, WIDTH), None, (WIDTH + 1, HEIGHT)], ids=['turned', 'not', 'otherwise'])
def test_annotated_as_shown_or_not_at_all_it_is_turned(tmp_path, orientation, annotated):
    results, _ = load(tmp_path, orientation, annotated)
    assert results['img'].shape[:2] == results['img_shape'] == results['ori_shape'] == (WIDTH, HEIGHT)


def test_an_upright_image_stays_whatever_is_annotated(tmp_path):
    results, pixels = load(tmp_path, 1, (HEIGHT, WIDTH))
    assert np.array_equal(results['img'], pixels)
